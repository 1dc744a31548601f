"""cores: those that this process may use, wherever threads are counted."""

import os
import pathlib

import pytest

from alexnet_jax.data.input import loader
from alexnet_jax.system import cores as cores_module
from alexnet_jax.system.cores import cores
from tests.support import tiny


def allow(monkeypatch, number):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)), raising=False)
    monkeypatch.setattr(cores_module, "_CGROUPS", pathlib.Path("nowhere"))


def test_cores_are_those_of_the_process(monkeypatch):
    allow(monkeypatch, 3)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == os.cpu_count()


@pytest.mark.parametrize(("allowed", "workers", "threads"), [(3, 0, 3), (64, 0, 16), (3, 40, 40)])
def test_the_loader_has_a_thread_for_each_and_not_too_many(monkeypatch, allowed, workers, threads):
    allow(monkeypatch, allowed)
    assert loader.threads(workers) == threads


def test_nobody_counts_the_cores_of_the_whole_machine():
    files = [
        p for name in ("alexnet_jax", "experiments") for p in (tiny.REPOSITORY / name).rglob("*.py")
    ]
    assert [path.name for path in files if "cpu_count" in path.read_text()] == ["cores.py"]
