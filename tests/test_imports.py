"""Who may import whom, and what nobody imports."""

import pathlib
import subprocess
import sys

import pytest

from tests.support import tiny


def test_the_contract_on_imports_is_kept():
    command = pathlib.Path(sys.executable).with_name("lint-imports")  # contract: pyproject.toml
    run = subprocess.run([command, "--no-cache"], cwd=tiny.REPOSITORY, capture_output=True)
    assert run.returncode == 0, run.stdout.decode()


def test_no_other_framework_is_ever_loaded():
    program = "import sys, alexnet_jax.main, alexnet_jax.data.prepare.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    out = {name.partition(".")[0] for name in loaded}
    assert "jax" in out and "alexnet_jax" in out
    assert not {"tensorflow", "torch", "tensorboard", "sklearn", "matplotlib"} & out
    assert not {"configs", "experiments", "tests"} & out
    assert "alexnet_jax.analysis.report.page" not in loaded  # main needs it where an epoch ends


@pytest.mark.parametrize("command", ["predict", "evaluate", "export"])
def test_a_trained_net_is_used_without_the_optimizer(command):
    program = f"import sys, alexnet_jax.{command}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    step = {name for name in loaded if name.startswith("alexnet_jax.step.")}
    assert step <= {"alexnet_jax.step.state", "alexnet_jax.step.metrics"}
    assert "alexnet_jax.step.state" in step
