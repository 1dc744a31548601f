"""Accelerators that are asked for, or installed, and not there; memory that is not enough."""

import importlib.metadata
import os
import subprocess
import sys

import jax
import pytest

from alexnet_jax.system import command_line, sharding
from tests.support import tiny


@pytest.mark.parametrize("platforms", ["cuda", "tpu", "rocm"])
def test_a_platform_that_is_not_there_is_one_line(platforms):
    """JAX_PLATFORMS of a device that is not there is refused in one line."""
    program = (
        "import jax; from alexnet_jax.system import command_line; "
        "command_line.run(lambda _: jax.process_index())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "JAX_PLATFORMS": platforms},
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr
    assert f"JAX_PLATFORMS={platforms} asks for a device that JAX does not find" in lines[0]


@pytest.mark.parametrize("name", ["xla_cuda13", "xla_cuda12", "rocm7"])
def test_a_plugin_without_a_device_is_said(monkeypatch, name):
    """A plugin that finds no device is one warning line, unless the CPU was asked for."""
    point = importlib.metadata.EntryPoint(name, "somewhere", "jax_plugins")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    said = sharding.unused_plugins("cpu", None)
    assert said is not None and f"plugin {name} is installed but found no device" in said
    assert sharding.unused_plugins("cpu", "cpu") is None
    assert sharding.unused_plugins("gpu", None) is None


@pytest.mark.parametrize(
    "text",
    [
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
        "RESOURCE_EXHAUSTED: Failed to allocate request for 2.3GiB (2469606195B) on device ordinal",
        "INTERNAL: CUDA error: Out of memory",
        "INTERNAL: Failed to load in-memory CUBIN: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space "
        "hbm. Used 20.50G of 15.48G hbm.",
    ],
)
def test_too_little_memory_is_one_line(monkeypatch, capsys, text):
    """RESOURCE_EXHAUSTED is one line that says what to lower."""

    def main(_):
        raise jax.errors.JaxRuntimeError(text)

    with pytest.raises(SystemExit) as ended:
        command_line._guarded(main, [])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not enough" in line and "lower config.batch_size" in line
