"""Containers that may use fewer cores than the machine has."""

import os

import pytest

from alexnet_jax.system import cores

V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")

USER = {"own": "0::/user.slice/user-7.slice/run.scope\n"}


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
        ({"own": "0::/\n", "cpu.max": "200000 100000\n"}, 2),  # in a container
        (USER | {"user.slice/user-7.slice/cpu.max": "400000 100000\n"}, 4),  # of a login node
        (USER | {"user.slice/user-7.slice/run.scope/cpu.max": "100000 100000\n"}, 1),
        (USER | {"user.slice/cpu.max": "300000 100000\n", "cpu.max": "max 100000\n"}, 3),
        ({"own": "12:cpu:/docker/x\n0::/docker/x\n"}, 8),
        ({}, 8),
    ],
)
def test_a_quota_counts_as_cores(tmp_path, monkeypatch, files, expected):
    """A CPU quota of a container (docker --cpus=2), a user or a service counts as cores."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "_OWN", tmp_path / "own")
    assert cores.cores() == expected
