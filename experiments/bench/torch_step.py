"""PyTorch's training step and inference for the benchmark of the step, in a process of their own.

    python -m experiments.bench.torch_step --batch=32 [--arch=small] [--compiled]

The net of support/torch_net.py with grouped convolutions, channels_last, on finished float images.
Serves "train" and "infer" (turns.py).
"""

import functools
import sys

import torch
from absl import app, flags

from experiments.bench import turns
from experiments.support.torch_net import SHAPES, TorchAlexNet


def steps(arch: str, batch: int, dtype: str, *, compiled: bool):
    """Return (train, infer, wait): functions that take one step, and one that waits for them."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    net = TorchAlexNet(shape := SHAPES[arch])
    net = net.to(device=device, memory_format=torch.channels_last)
    tx = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    x = 50 * torch.randn(batch, 3, shape.image_size, shape.image_size, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, shape.classes, (batch,), device=device)
    forward = torch.compile(net) if compiled else net
    cast = functools.partial(
        torch.autocast, device, dtype=torch.bfloat16, enabled=dtype == "bfloat16"
    )

    def wait(_):
        if device == "cuda":
            torch.cuda.synchronize()

    def train():
        net.train()
        tx.zero_grad(set_to_none=True)
        with cast():
            loss = torch.nn.functional.cross_entropy(forward(x), labels)
        loss.backward()
        tx.step()

    def infer():
        net.eval()
        with torch.inference_mode(), cast():
            forward(x).softmax(-1)

    return train, infer, wait


def define_flags() -> None:
    """Define the command line."""
    turns.define_flags()
    flags.DEFINE_bool("compiled", False, "With torch.compile.")
    flags.DEFINE_bool("gpu", False, "End if PyTorch finds no GPU.")
    flags.DEFINE_integer("calls", 1, "Calls of a timing.")


def main(_) -> None:
    """Serve what the flags describe."""
    f = flags.FLAGS
    if f.gpu and not torch.cuda.is_available():
        sys.exit(f"PyTorch {torch.__version__} finds no GPU: install one with CUDA")
    train, infer, wait = steps(f.arch, f.batch, f.dtype, compiled=f.compiled)
    runs = {"train": train, "infer": infer}
    timings = {name: turns.timed(run, wait, f.calls) for name, run in runs.items()}
    turns.serve({"torch": torch.__version__}, timings)


if __name__ == "__main__":
    define_flags()
    app.run(main)  # not command_line.run, which would load JAX beside PyTorch
