"""A command that is asked to stop while Python still imports what it needs."""

import signal
import subprocess
import sys

import pytest

from tests.support import tiny


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_while_it_imports_leaves_one_line(number):
    command = [sys.executable, "-X", "importtime", "-m", "alexnet_jax.main", "--config=quickstart"]
    with subprocess.Popen(
        command, cwd=tiny.REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if line.split("|")[-1].strip() == "alexnet_jax":  # its __init__ is done
                break
        process.send_signal(number)
        said = process.stderr.read()
    lines = [line for line in said.splitlines() if not line.startswith("import time:")]
    assert lines[-1] == f"stopped by {number.name}: nothing had begun"
    assert lines[:-1] == [] and process.returncode == 128 + number


def test_the_package_leaves_signals_alone():
    program = (
        "import signal, alexnet_jax.train; "
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "
        "signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tiny.REPOSITORY, capture_output=True)
    assert done.stdout == b"True True\n"
