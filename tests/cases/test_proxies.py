"""A proxy in the environment does not keep the processes of a run from each other."""

import os
import socket
import subprocess
import sys

import pytest

from alexnet_jax.system import distributed
from tests.support import tiny

PROXY = "http://127.0.0.1:9"  # nobody is there


@pytest.mark.parametrize(
    ("environment", "coordinator", "expected", "said"),
    [
        ({}, "node1:1234", {}, None),
        ({"no_proxy": "a"}, "node1:1234", {}, None),
        ({"http_proxy": PROXY}, "node1:1234", {"no_proxy": "node1"}, "http_proxy is set"),
        ({"https_proxy": PROXY, "no_proxy": "a,b"}, "10.0.0.1:80", {"no_proxy": "a,b,10.0.0.1"},
         "https_proxy is set"),
        ({"grpc_proxy": PROXY, "no_grpc_proxy": "a"}, "[fe80::1]:80",
         {"no_grpc_proxy": "a,fe80::1"}, "grpc_proxy is set"),
        ({"http_proxy": ""}, "node1:1234", {}, None),
        ({"http_proxy": PROXY}, None, {}, "http_proxy is set: if the processes do not meet"),
    ],
)  # fmt: skip
def test_the_coordinator_is_reached_around_a_proxy(environment, coordinator, expected, said):
    """no_proxy gets the coordinator's host, or a line names the proxy's variable."""
    changed = dict(environment)
    line = distributed.around_the_proxy(changed, coordinator)
    assert changed == environment | expected
    assert line is None if said is None else line.startswith(said)


@pytest.mark.slow
def test_processes_meet_though_a_proxy_is_set():
    """With http_proxy set to a proxy that is not there, the run begins."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "import jax; from ml_collections import ConfigDict\n"
        "from alexnet_jax.system import distributed\n"
        "settings = ConfigDict({'timeout_seconds': 5})\n"
        f"distributed.start(settings, '127.0.0.1:{port}', 1, 0)\n"
        "print('together', jax.process_count())"
    )
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tiny.REPOSITORY,
        env={**clean, "http_proxy": PROXY},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "together 1\n"), done.stderr
    assert "http_proxy is set: no_proxy is 127.0.0.1 for this run" in done.stderr
