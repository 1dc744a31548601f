"""Pipes that are closed, and terminals whose encoding lacks a letter."""

import os
import subprocess
import sys

import pytest

from tests.support import tiny


def command(body: str, **environment: str) -> subprocess.Popen:
    program = f"from alexnet_jax.system import command_line; command_line.run(lambda _: {body})"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        cwd=tiny.REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("end", ["\\n", "\\n' * 100 + '"])
def test_a_reader_that_has_enough_ends_the_command_quietly(end):
    """A command whose reader is gone, as in `| head`, ends without a word."""
    body = f"[print('a' * 1000, end='{end}', flush=True) for _ in range(10000)]"
    with command(body) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == (b"", 141)


@pytest.mark.parametrize(
    ("name", "shown"), [("é", rb"\xe9"), ("猫", rb"\u732b"), ("\\udce9", rb"\udce9")]
)
def test_a_name_that_the_terminal_lacks_is_escaped(name, shown):
    """A name with letters that the terminal's encoding lacks is escaped."""
    out, err = command(f"print('{name}')", PYTHONIOENCODING="ascii").communicate()
    assert (out, err) == (shown + b"\n", b"")
