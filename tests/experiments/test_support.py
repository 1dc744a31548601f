"""What the scripts share: the environment of processes, and imports without side effects."""

import importlib
import json
import os
import subprocess
import sys

import pytest
from absl import flags

from experiments.support.environment import KEPT_MEMORY, with_kept_memory
from tests.support import tiny

MODULES = sorted(
    ".".join(path.relative_to(tiny.REPOSITORY).with_suffix("").parts)
    for path in (tiny.REPOSITORY / "experiments").rglob("*.py")
)
RESTARTED = """
import json, os, sys
from experiments.support.environment import restart_with_kept_memory
restart_with_kept_memory()
print(json.dumps([sys.argv[1:], {k: v for k, v in os.environ.items() if "MALLOC" in k}]))
"""


@pytest.mark.parametrize("name", MODULES)
def test_any_two_scripts_can_be_imported_in_one_process(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        pytest.skip("PyTorch is not installed")
    assert not [key for key in flags.FLAGS.flags_by_module_dict() if "experiments" in key]


def test_memory_is_kept_on_a_cpu_alone_and_a_users_word_counts_more():
    assert with_kept_memory({"JAX_PLATFORMS": "cpu"}) == {"JAX_PLATFORMS": "cpu", **KEPT_MEMORY}
    given = {"JAX_PLATFORMS": "cpu", "MALLOC_ARENA_MAX": "4"}
    assert with_kept_memory(given) == {**KEPT_MEMORY, **given}
    for name in ("cuda", "tpu", "cpu,cuda"):
        assert with_kept_memory({"JAX_PLATFORMS": name}) == {"JAX_PLATFORMS": name}


def test_a_program_starts_again_with_its_arguments_and_kept_memory():
    done = subprocess.run(
        [sys.executable, "-c", RESTARTED, "--batch=4", "two words"],
        cwd=tiny.REPOSITORY,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "MALLOC_ARENA_MAX": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments, environment = json.loads(done.stdout)
    assert arguments == ["--batch=4", "two words"]
    assert environment == {**KEPT_MEMORY, "MALLOC_ARENA_MAX": "4"}


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are glibc's")
def test_freed_memory_is_not_given_back():
    program = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(1 << 28)
    ctypes.memset(block, 1, 1 << 28)
    libc.free(ctypes.c_void_p(block))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(min(faults() for _ in range(3)))
"""

    def least(environment) -> int:
        command = [sys.executable, "-c", program]
        return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    plain = {k: v for k, v in os.environ.items() if "MALLOC" not in k} | {"JAX_PLATFORMS": "cpu"}
    assert least(with_kept_memory(plain)) < 50 < least(plain)
