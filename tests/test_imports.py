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


def loaded_by(program: str) -> list[str]:
    """Return the modules that are there after a program."""
    command = [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"]
    done = subprocess.run(command, cwd=tiny.REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.slow
def test_no_other_framework_is_ever_loaded():
    what = ("main", "train", "analysis.report.refresh", "data.prepare.__main__")
    loaded = loaded_by("; ".join(f"import alexnet_jax.{name}" for name in what))
    out = {name.partition(".")[0] for name in loaded}
    assert "jax" in out and "alexnet_jax" in out
    assert not {"tensorflow", "torch", "tensorboard", "sklearn", "matplotlib"} & out
    assert not {"configs", "experiments", "tests"} & out
    assert "alexnet_jax.analysis.report.page" not in loaded  # main needs it where an epoch ends


@pytest.mark.slow
def test_a_trained_net_is_used_without_the_optimizer():
    names = ", ".join(f"alexnet_jax.{command}" for command in ("predict", "evaluate", "export"))
    loaded = loaded_by(f"import {names}")
    step = {name for name in loaded if name.startswith("alexnet_jax.step.")}
    assert step == {"alexnet_jax.step.state", "alexnet_jax.step.metrics"}
