"""experiments/bench/step.py with steps that are soon done, and a PyTorch that ends in inference."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import tiny

PROGRAM = '''
import sys, types
import jax.numpy as jnp
import bench_step, turns

TORCH = """
import os, sys, turns
runs = {"train": lambda: None, "infer": lambda: sys.exit(1)}
steps = {name: turns.timed(run, lambda _: None) for name, run in runs.items()}
turns.serve({"torch": os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"]}, steps)
"""
made = []

def step():
    made.append(1)
    return jnp.ones(3)

bench_step.started = lambda *_: {}
bench_step.OurStep = lambda *_: types.SimpleNamespace(train=step, infer=step)
bench_step.matmul = lambda _: (lambda: jnp.ones(3), 10)
bench_step.torchs = lambda *_: {"torch_eager": turns.Process([sys.executable, "-c", TORCH])}
bench_step.operations = lambda: (1, 3)

def main(argv):
    bench_step.main(argv)
    print(len(made))

bench_step.command_line.run(main)
'''


@pytest.mark.parametrize(("flags", "calls"), [((), 1), (("--calls=3",), 3)])
def test_the_report(flags, calls):
    path = f"{tiny.REPOSITORY / 'experiments'}:{tiny.REPOSITORY}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XLA_PYTHON_CLIENT")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--rounds=2", "--batch=4", *flags],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report, made = map(json.loads, done.stdout.splitlines())
    assert made == 2 * 3 * 2 * calls  # training and inference, three rounds, two steps a turn
    assert report["calls"] == calls and report["train"]["ratio_to_torch_eager"] > 0
    inference = report["inference"]
    assert inference["torch_eager"] is None and inference["ratio_to_torch_eager"] is None
    assert done.stderr.count("torch_eager is left out: ") == 1
    assert report["versions"]["torch"] == "false"  # JAX leaves PyTorch memory of a GPU
