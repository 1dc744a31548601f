"""Images per second of inference in float32, beside the engines that people take for it.

    python -m experiments.bench.inference --batch=32 [--arch=small] [--rounds=7]

PyTorch eager and compiled (torch_step.py), ONNX Runtime and OpenVINO (engine_step.py), each where
it is installed. They take turns (turns.py); a rate comes from the median timing, a ratio is the
median of the rounds' ratios. Ours begins with stored uint8 squares, subtracts the mean and cuts the
centre; the others get finished float images. The engines run our weights, and `difference` is the
largest one of a probability from ours. The last line is one JSON object.
"""

import importlib.util
import json
import pathlib
import statistics
import tempfile

import jax
import numpy as np
from absl import flags

from alexnet_jax.system import command_line
from experiments.bench import turns
from experiments.bench.our_step import OurStep, calls_of
from experiments.bench.turns import Process, take_turns, timed
from experiments.support.environment import machine, restart_with_kept_memory

ENGINES = ("onnxruntime", "openvino")


def rivals(arch: str, batch: int, calls: int, folder: str) -> dict[str, Process]:
    """Return the contenders that are installed and start; all of them need PyTorch."""
    if not importlib.util.find_spec("torch"):
        return {}
    torch = ["-m", "experiments.bench.torch_step", f"--arch={arch}", f"--batch={batch}"]
    programs = {"torch_eager": torch, "torch_compiled": [*torch, "--compiled"]}
    for engine in ENGINES:
        if importlib.util.find_spec(engine):
            program = ["-m", "experiments.bench.engine_step", f"--engine={engine}"]
            programs[engine] = [*program, f"--net={folder}"]
    return turns.processes({n: [*p, f"--calls={calls}"] for n, p in programs.items()})


def main(_) -> None:
    """Run the benchmark that the flags describe."""
    restart_with_kept_memory()
    f, calls = flags.FLAGS, calls_of(flags.FLAGS.calls)
    ours = OurStep(f.batch, "float32", f.arch)
    with tempfile.TemporaryDirectory() as folder:
        arrays: dict = {"arch": f.arch, **ours.answered()}
        np.savez(pathlib.Path(folder) / "net.npz", **arrays)
        others = rivals(f.arch, f.batch, calls, folder)
        contenders = {"ours": timed(ours.infer, jax.block_until_ready, calls)}
        contenders |= {name: rival.step("infer") for name, rival in others.items()}
        seconds = take_turns(contenders, f.rounds)
    hellos = {name: rival.close() for name, rival in others.items()}
    result = {
        name: {
            "images_per_second": f.batch / statistics.median(took),
            "ratio": statistics.median(b / a for a, b in zip(seconds["ours"], took, strict=True)),
            **hellos.get(name, {}),
        }
        for name, took in seconds.items()
    }
    head = {"arch": f.arch, "batch": f.batch, "calls": calls, "jax": jax.__version__, **machine()}
    print(json.dumps({**head, "inference": result}))


if __name__ == "__main__":
    turns.define_flags()
    turns.define_turns()
    command_line.run(main)
