"""Every named architecture in PyTorch, with our parameters: logits and gradients."""

import contextlib
import pathlib
from unittest import mock

import numpy as np
import torch
from torch import Tensor, func
from torch.nn import functional as F

from alexnet_jax.weights.naming import torchvisions
from experiments.parity.cases import Params, Tensors, flat
from experiments.parity.program_layers import FILES, read_layers, sections
from experiments.parity.torch_program import Program
from experiments.parity.torch_successors import CaffeAlexNet, TorchvisionAlexNet
from experiments.support.torch_net import TorchAlexNet

Weights = dict[str, dict[str, Tensor]]  # layer -> kernel, bias; our layout


def answer(
    name: str,
    params: Params,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    dtype: str = "float64",
    layers: pathlib.Path | None = None,
) -> tuple[np.ndarray, Tensors]:
    """Return logits and gradients of the mean cross entropy, as cases.answer_of does.

    Args:
      name: of the architecture.
      params, images, labels: as cases.inputs returns them.
      dtype: of the arithmetic.
      layers: folder of the released program's layer files, to run the net from its own file.
    """
    kind = getattr(torch, dtype)
    weights = _weights(params, kind)
    leaves = [value.requires_grad_() for layer in weights.values() for value in layer.values()]
    logits = _logits(name, weights, _channels_first(images, kind), layers)
    grads = iter(torch.autograd.grad(F.cross_entropy(logits, torch.tensor(labels).long()), leaves))
    by_layer = {layer: {key: next(grads) for key in values} for layer, values in weights.items()}
    return logits.detach().numpy(), flat(by_layer)


def nearest_tie(name: str, params: Params, images: np.ndarray) -> float:
    """Return the least distance, in deviations of its layer, at which a gradient would jump.

    There a ReLU's input passes zero, or a window's second largest value passes the largest. Windows
    whose two largest values are equal do not count: they are over even parts of a photograph, saw
    the same pixels, and have the same gradient whichever wins.
    """
    distances: list[Tensor] = []
    relu, max_pool2d = F.relu, F.max_pool2d

    def watched_relu(x, *args, **kwargs):
        distances.append(x.abs().min() / x.std())
        return relu(x, *args, **kwargs)

    def watched_pool(x, kernel_size, stride, *args, **kwargs):
        y = max_pool2d(x, kernel_size, stride, *args, **kwargs)
        over = (y.shape[2] - 1) * stride + kernel_size - x.shape[2]
        padded = F.pad(x, (0, over, 0, over), value=-torch.inf)
        windows = padded.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(4)
        first, second = windows.topk(2, -1).values.unbind(-1)
        apart = (first - second)[first > 0] / x.std()
        distances.append(apart[apart > 1e-12].min())
        return y

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(mock.patch.object(F, "relu", watched_relu))
        stack.enter_context(mock.patch.object(F, "max_pool2d", watched_pool))
        weights = _weights(params, torch.float64)
        _logits(name, weights, _channels_first(images, torch.float64), None)
    return float(min(distances))


def _logits(name: str, weights: Weights, x: Tensor, layers: pathlib.Path | None) -> Tensor:
    if name in FILES:
        net_145 = read_layers(layers, name) if layers else sections(name)
        return Program(net_145, weights).logits(x)
    state = _state(weights)
    net: torch.nn.Module
    if name == "paper":
        net = TorchAlexNet(columns=len(weights["conv1"]["kernel"]))
    elif name == "owt":
        net = TorchvisionAlexNet()
        state = {torchvisions(name): value for name, value in state.items()}
    else:
        net = CaffeAlexNet(pool_first={"caffe": False, "caffenet": True}[name])
    return func.functional_call(net.eval(), state, x, strict=True)


def _weights(params: Params, kind: torch.dtype) -> Weights:
    return {
        layer: {key: torch.tensor(value, dtype=kind) for key, value in values.items()}
        for layer, values in params.items()
    }


def _channels_first(images: np.ndarray, kind: torch.dtype) -> Tensor:
    return torch.tensor(images, dtype=kind).permute(0, 3, 1, 2).contiguous()


def torch_state(params: Params, kind: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return our parameters as the state of a `TorchAlexNet`, which `_state` describes."""
    return _state(_weights(params, kind))


def _state(weights: Weights) -> dict[str, Tensor]:
    """Return our parameters under PyTorch's names and in its layout, the columns as groups.

    Kernels (columns, kh, kw, in, out) -> (columns x out, in, kh, kw). fc6 reads
    (column, pixel, channel) with us, (column, channel, pixel) there; fc8's columns lie along its
    inputs.
    """
    state: dict[str, Tensor] = {}
    for layer, values in weights.items():
        kernel = values["kernel"]
        columns, out = kernel.shape[0], kernel.shape[-1]
        if kernel.ndim == 5:
            weight = kernel.permute(0, 4, 3, 1, 2).flatten(0, 1)
        elif layer == "fc6":
            channels = weights["conv5"]["kernel"].shape[-1]
            # (reader, read, pixel, channel, out)
            pixels = kernel.reshape(columns, columns, -1, channels, out)
            weight = pixels.permute(0, 4, 1, 3, 2).flatten(2).flatten(0, 1)
        elif layer == "fc8":
            weight = kernel.flatten(0, 1).T
        else:
            weight = kernel.permute(0, 2, 1).flatten(0, 1)
        state |= {f"{layer}.weight": weight, f"{layer}.bias": values["bias"].flatten()}
    return state
