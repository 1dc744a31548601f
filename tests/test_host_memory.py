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
from alexnet_jax import host_memory

print(host_memory.keep())
x = jnp.ones((4096, 16), jnp.float32)
work = jax.jit(lambda x: jnp.abs(x @ x.T).sum())  # 64 MB between: 16,384 pages of 4 KiB

def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    work(x).block_until_ready()
before = faults()
for _ in range(4):
    work(x).block_until_ready()
print(faults() - before)
"""


def started(**environment) -> tuple[str, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**clean, "PYTHONPATH": str(tiny.REPOSITORY), "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_a_step_takes_no_page_twice():
    kept, faults = started()
    assert kept == "True" and faults < 200
    # What the environment says of malloc stays as it is: here what glibc does by itself.
    theirs, taken = started(MALLOC_MMAP_THRESHOLD_="131072")
    assert theirs == "False" and taken > 10 * max(faults, 200)
