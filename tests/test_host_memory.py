"""What a step frees stays with the process: counted as the system counts it, in page faults."""

import os
import platform
import subprocess
import sys

import pytest
import tiny

PROGRAM = """
import resource
import jax
import jax.numpy as jnp
from alexnet_jax import command_line

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def main(_):
    x = jnp.ones((4096, 16), jnp.float32)
    work = jax.jit(lambda x: jnp.abs(x @ x.T).sum())  # 64 MB between: 16,384 pages of 4 KiB
    for _ in range(3):
        work(x).block_until_ready()
    before = faults()
    for _ in range(4):
        work(x).block_until_ready()
    print(faults() - before)

command_line.run(main)
"""


def faults(**environment) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**clean, "PYTHONPATH": str(tiny.REPOSITORY), "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_a_command_takes_no_page_twice():
    assert faults() < 200
    # What the environment says of malloc stands: here what glibc does by itself.
    assert faults(MALLOC_MMAP_THRESHOLD_="131072") > 2000
