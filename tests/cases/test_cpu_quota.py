"""Containers that may use fewer cores than the machine has."""

import os

import pytest

from alexnet_jax.system import cores

V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "1600000 100000\n"}, 8),
        (dict(zip(V1, ("300000\n", "100000\n"), strict=True)), 3),
        (dict(zip(V1, ("-1\n", "100000\n"), strict=True)), 8),
        ({"cpu.max": "strange"}, 8),
        ({}, 8),
    ],
)
def test_a_quota_counts_as_cores(tmp_path, monkeypatch, files, expected):
    """A container's CPU quota (docker --cpus=2) counts as cores."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path)
    assert cores.cores() == expected
