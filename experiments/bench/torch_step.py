"""PyTorch's training step and inference for bench_step.py, in a process of their own.

    python -m experiments.bench.torch_step --batch=32 [--dtype=bfloat16] [--compiled] [--calls=20]

The net of torch_net.py with its grouped convolutions, channels_last, on float images that are
finished. Serves "train" and "infer" (turns.py).
"""

import argparse
import functools

import torch

from experiments.bench.turns import serve, timed
from experiments.parity.torch_net import TorchAlexNet


def steps(batch: int, dtype: str, *, compiled: bool):
    """Return (train, infer, wait): functions that take one step, and one that waits for them."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    net = TorchAlexNet().to(device=device, memory_format=torch.channels_last)
    tx = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    x = 50 * torch.randn(batch, 3, 224, 224, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (batch,), device=device)
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


def main() -> None:
    """Serve what the flags describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--calls", type=int, default=1)
    args = parser.parse_args()
    train, infer, wait = steps(args.batch, args.dtype, compiled=args.compiled)
    runs = {"train": train, "infer": infer}
    timings = {name: timed(run, wait, args.calls) for name, run in runs.items()}
    serve({"torch": torch.__version__}, timings)


if __name__ == "__main__":
    main()
