"""The benchmark of the step with steps that end soon, and a PyTorch that ends in inference."""

import json
import os
import subprocess
import sys

import pytest

from experiments.bench import step
from experiments.bench.our_step import calls_of
from tests.support import tiny

PROGRAM = '''
import types
import jax.numpy as jnp
from experiments.bench import step, turns

TORCH = """
import os, sys
from experiments.bench import turns
runs = {"train": lambda: None, "infer": lambda: sys.exit(1)}
steps = {name: turns.timed(run, lambda _: None) for name, run in runs.items()}
names = ("XLA_PYTHON_CLIENT_PREALLOCATE", "MALLOC_ARENA_MAX")
turns.serve({"torch": " ".join(os.environ[name] for name in names)}, steps)
"""
made = []

def ours():
    made.append(1)
    return jnp.ones(3)

step.started = lambda *_: {}
step.OurStep = lambda *_: types.SimpleNamespace(train=ours, infer=ours)
step.matmul = lambda _: (lambda: jnp.ones(3), 10)
step.torchs = lambda *_, **__: {"torch_eager": turns.Process(["-c", TORCH])}
step.operations = lambda _: (1, 3)

def main(argv):
    step.main(argv)
    print(len(made))

step.define_flags()
step.command_line.run(main)
'''


def test_operations_of_an_image():
    # Multiply-adds by hand, outputs times what each reads: convolutions 1 to 5, then the products.
    conv1 = 55 * 55 * 96 * 11 * 11 * 3
    convolutions = [27 * 27 * 256 * 5 * 5 * 48]
    convolutions += [
        13 * 13 * maps * 3 * 3 * read for maps, read in ((384, 256), (384, 192), (256, 192))
    ]
    products = [9216 * 4096, 4096 * 4096, 4096 * 1000]
    forward = 2 * sum([conv1, *convolutions, *products])
    assert step.operations("paper") == (forward, 3 * forward - 2 * conv1)


def test_a_timing_on_a_cpu_is_one_call():
    assert calls_of(None) == 1 and calls_of(3) == 3


@pytest.mark.slow
def test_the_report():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XLA_PYTHON_CLIENT")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--rounds=2", "--batch=4", "--calls=3"],
        cwd=tiny.REPOSITORY,
        env={**environment, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report, made = map(json.loads, done.stdout.splitlines())
    assert made == 2 * 3 * 2 * 3  # training and inference, three rounds, two steps a turn
    assert report["calls"] == 3 and report["train"]["ratio_to_torch_eager"] > 0
    inference = report["inference"]
    assert inference["torch_eager"] is None and inference["ratio_to_torch_eager"] is None
    assert done.stderr.count("torch_eager is left out: ") == 1
    # JAX leaves PyTorch memory of a GPU, and on a CPU both keep what they free.
    assert report["versions"]["torch"] == "false 1"
