"""What a step frees stays with the process while there is enough: as the system counts it."""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import subprocess
import sys

import pytest

from alexnet_jax.system import host_memory
from alexnet_jax.system.memory_in_use import share_in_use
from tests.support import tiny

PROGRAM = """
import resource, sys, time
import jax
import jax.numpy as jnp
from alexnet_jax.system import command_line, host_memory

host_memory.SCARCE = float(sys.argv.pop())
host_memory.SECONDS = 0.1

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident_mb():
    return int(open("/proc/self/status").read().split("RssAnon:")[1].split()[0]) // 1024

def main(_):
    x = jnp.ones((4096, 16), jnp.float32)
    work = jax.jit(lambda x: jnp.abs(x @ x.T).sum())  # 64 MB between: 16,384 pages of 4 KiB
    for _ in range(3):
        work(x).block_until_ready()
    before = faults()
    for _ in range(4):
        work(x).block_until_ready()
    taken = faults() - before
    time.sleep(0.5)
    kept = resident_mb()
    libc = host_memory.ctypes.CDLL(None)
    libc.malloc_trim(0)
    print(taken, kept - resident_mb())

command_line.run(main)
"""


def faults_and_kept(scarce: float = 0.99, **environment) -> tuple[int, int]:
    """Return the pages that four steps took, and the MB that are kept half a second later."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(scarce)],
        env={**clean, "PYTHONPATH": str(tiny.REPOSITORY), "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    taken, kept = map(int, done.stdout.split())
    return taken, kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_a_command_takes_no_page_twice_while_there_is_enough():
    taken, kept = faults_and_kept()
    assert taken < 200 and kept >= 64
    _, kept = faults_and_kept(scarce=0.0)
    assert kept < 16
    # What the environment says of malloc stands: here what glibc does by itself.
    taken, kept = faults_and_kept(MALLOC_MMAP_THRESHOLD_="131072")
    assert taken > 2000 and kept < 16


def test_an_accelerator_may_be_there(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    for asked, expected in (("", True), ("cpu", True), ("cuda", False), ("cuda,cpu", False)):
        monkeypatch.setenv("JAX_PLATFORMS", asked)
        assert host_memory.only_cpu() == expected
    monkeypatch.setenv("TPU_LIBRARY_PATH", "/lib/libtpu.so")
    monkeypatch.delenv("JAX_PLATFORMS")
    assert not host_memory.only_cpu()


def test_the_package_of_an_accelerator_is_seen(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    (tmp_path / "jax_plugins").mkdir()  # a namespace, as jax's CUDA wheels bring it
    monkeypatch.syspath_prepend(tmp_path)
    assert not host_memory.only_cpu()


def written(root: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    machine = {
        "proc/meminfo": "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  900 kB\nHuge:\n",
        "proc/self/cgroup": "0::/\n",
    }
    for name, text in (machine | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "12:cpu,cpuacct:/slurm\n4:memory:/slurm/job_1\n0::/\n"


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({}, 0.1),
        (  # a step of a job: the limit is the job's
            {
                "proc/self/cgroup": "0::/slurm/job_1/step_0\n",
                "sys/fs/cgroup/slurm/job_1/step_0/memory.max": "max\n",
                "sys/fs/cgroup/slurm/job_1/memory.max": "2000\n",
                "sys/fs/cgroup/slurm/job_1/memory.stat": "anon 1600\nfile 300\n",
            },
            0.8,
        ),
        (  # in a container its group is at the top
            {
                "sys/fs/cgroup/memory.max": "2000\n",
                "sys/fs/cgroup/memory.stat": "anon 1000\nfile 900\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/memory/slurm/job_1/memory.stat": "rss 1\n"
                "hierarchical_memory_limit 2000\ntotal_rss 1400\n",
            },
            0.7,
        ),
        (  # version 1 in a container, whose host's path is not there
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/memory/memory.stat": "hierarchical_memory_limit 2000\n"
                "total_rss 1200\n",
            },
            0.6,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/memory/memory.stat": "hierarchical_memory_limit "
                "9223372036854771712\ntotal_rss 1200\n",
            },
            0.1,
        ),
    ],
    ids=["machine", "v2 job", "v2 container", "v1 job", "v1 container", "v1 no limit"],
)
def test_the_share_in_use_is_of_the_narrowest_limit(files, share, tmp_path):
    assert share_in_use(written(tmp_path, files)) == pytest.approx(share)


def test_this_machines_share_is_one():
    assert 0 < share_in_use() < 1
