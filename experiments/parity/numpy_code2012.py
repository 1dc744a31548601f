"""Net 145 of the released program, forward, in plain NumPy float64 with loops.

Channels last; the two GPUs are "a" = 0 and "b" = 1. Sources: layers-145.cfg, layer-params-145.cfg,
layer.py:1004 (sizes round up), :1183 (norms divide scale), layer.cu:1126 (dropout at test).
"""

import numpy as np

from experiments.parity.cases import Params

Array = np.ndarray


def logits(params: Params, images: Array) -> Array:
    """Return what the softmax reads: (B, 224, 224, 3) -> (B, 1000).

    params: layer -> kernel, bias, the column first; fc6 reads (column, pixel, channel).
    """
    w = {
        k: {name: np.asarray(value, np.float64) for name, value in v.items()}
        for k, v in params.items()
    }

    def kernel(layer: str, gpu: int) -> tuple[Array, Array]:
        return w[layer]["kernel"][gpu], w[layer]["bias"][gpu]

    both = (0, 1)
    image = np.asarray(images, np.float64)
    x = [conv(image, *kernel("conv1", gpu), stride=4, before=0, after=3) for gpu in both]
    x = [relu(max_pool(across_channels(a))) for a in x]  # 55 -> 27 pixels; no ReLU before the norm
    x = [relu(conv(a, *kernel("conv2", gpu), before=2, after=2)) for gpu, a in enumerate(x)]
    x = [max_pool(across_pixels(across_channels(a))) for a in x]  # 27 -> 13
    joined = np.concatenate(x, axis=-1)
    x = [relu(conv(joined, *kernel("conv3", gpu), before=1, after=1)) for gpu in both]
    x = [relu(conv(a, *kernel("conv4", gpu), before=1, after=1)) for gpu, a in enumerate(x)]
    x = [conv(a, *kernel("conv5", gpu), before=1, after=1) for gpu, a in enumerate(x)]
    x = [relu(max_pool(a)) for a in x]  # 13 -> 6
    for layer in ("fc6", "fc7"):
        joined = np.concatenate([a.reshape(len(a), -1) for a in x], axis=-1)
        x = []
        for gpu in both:
            matrix, bias = kernel(layer, gpu)
            x.append(0.5 * relu(joined @ matrix + bias))
    return x[0] @ w["fc8"]["kernel"][0] + x[1] @ w["fc8"]["kernel"][1] + w["fc8"]["bias"]


def conv(x: Array, kernel: Array, bias: Array, *, before: int, after: int, stride: int = 1):
    """Convolve (B, H, W, in) with (k, k, in, out), `before` and `after` zeros at the edges."""
    x = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    k = kernel.shape[0]
    size = (x.shape[1] - k) // stride + 1
    total = np.zeros((len(x), size, size, kernel.shape[3])) + bias
    for i in range(k):
        for j in range(k):
            rows, columns = (slice(o, o + stride * (size - 1) + 1, stride) for o in (i, j))
            total += x[:, rows, columns] @ kernel[i, j]
    return total


def relu(x: Array) -> Array:
    """Return x where positive."""
    return np.where(x > 0, x, 0)


def max_pool(x: Array) -> Array:
    """Return the maxima of 3x3 windows, 2 apart; with 55, 27 and 13 pixels none overhangs."""
    size = (x.shape[1] - 3) // 2 + 1
    y = np.full((len(x), size, size, x.shape[3]), -np.inf)
    for i in range(3):
        for j in range(3):
            y = np.maximum(y, x[:, i : i + 2 * size - 1 : 2, j : j + 2 * size - 1 : 2])
    return y


def across_channels(x: Array) -> Array:
    """Return cmrnorm: five channels of the same GPU around each, scale 1e-4 / 5, minDiv 2."""
    channels, total = x.shape[3], np.zeros_like(x)
    for i in range(channels):
        total[..., i] = (x[..., max(0, i - 2) : min(channels, i + 3)] ** 2).sum(-1)
    return x * (2 + 1e-4 / 5 * total) ** -0.75


def across_pixels(x: Array) -> Array:
    """Return rnorm: 5x5 pixels of the same channel, scale 1e-3 / 25, minDiv 1; zeros outside."""
    size = x.shape[1]
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))) ** 2
    total = np.zeros_like(x)
    for i in range(5):
        for j in range(5):
            total += padded[:, i : i + size, j : j + size]
    return x * (1 + 1e-3 / 25 * total) ** -0.75
