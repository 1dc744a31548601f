"""The quickstart's environment lets glibc keep what a step frees: counted in pages."""

import os
import platform
import shutil
import subprocess
import sys

import pytest

from tests.support import tiny

STEPS = """
import resource, jax, jax.numpy as jnp
x = jnp.ones((4096, 16), jnp.float32)
work = jax.jit(lambda x: jnp.abs(x @ x.T).sum())  # 64 MB between: 16,384 pages of 4 KiB
def pages(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        work(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages(3)
print(pages(4))
"""


def quickstart() -> list[list[str]]:
    """Return the words of each command of the package that `make quickstart` runs."""
    done = subprocess.run(
        ["make", "--dry-run", "quickstart"],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split() for line in done.stdout.splitlines() if " -m alexnet_jax." in line]


def variables() -> dict[str, str]:
    """Return the variables of glibc's malloc that the commands of the quickstart get."""
    first, *others = (
        [word for word in line if word.startswith("MALLOC_")] for line in quickstart()
    )
    assert others == [first]  # training and evaluation
    return dict(word.split("=") for word in first)


def pages_of_four_steps(**environment: str) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", STEPS],
        env={**clean, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_quickstart_takes_no_page_twice():
    assert pages_of_four_steps(**variables()) < 200
    assert pages_of_four_steps() > 2000  # what glibc does by itself
