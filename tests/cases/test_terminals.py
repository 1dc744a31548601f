"""Pipes that are closed, and terminals whose encoding lacks a letter."""

import os
import subprocess
import sys

import pytest

from tests.support import tiny


def command(body: str, redirect: str = "", **environment: str) -> subprocess.Popen:
    program = f"from alexnet_jax.system import command_line; command_line.run(lambda _: {body})"
    return subprocess.Popen(
        ["sh", "-c", f'exec "$0" -c "$1" {redirect}', sys.executable, program],
        env={**os.environ, **environment},
        cwd=tiny.REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("how", "redirect"),
    [
        ("flush=True", ""),
        ("end='\\n' * 100, flush=True", ""),
        ("flush=False", ""),
        ("file=__import__('sys').stderr", "2>&1"),
    ],
)
def test_a_reader_that_has_enough_ends_the_command_quietly(how, redirect):
    """A command whose reader is gone, as in `| head` and `2>&1 | head`, ends without a word."""
    body = f"[print('a' * 1000, {how}) for _ in range(10000)]"
    with command(body, redirect) as running:
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


@pytest.mark.parametrize("flush", [True, False])
def test_a_full_disk_behind_stdout_is_one_line(flush):
    """`> /dev/full` is one line, whether or not the command flushes."""
    with command(f"print('a', flush={flush})", redirect=">/dev/full") as running:
        assert running.stderr is not None
        assert running.stderr.read().startswith(b"error: stdout cannot be written: No space left")
    assert running.returncode == 2


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_shell_closed_is_no_file(closed):
    """After `>&-` the next file is not opened as stdout, into which libraries print."""
    body = "None if open('/dev/null').fileno() > 2 else 3"
    with command(body, redirect=closed) as running:
        assert running.wait() == 0


def test_files_are_utf_8_whatever_the_locale(tmp_path):
    """A page with letters that the locale's encoding lacks is UTF-8."""
    module, path = (
        "alexnet_jax.system.atomic_file",
        f"__import__('pathlib').Path({str(tmp_path)!r})",
    )
    body = f"__import__('{module}').system.atomic_file.write_atomic({path} / 'page', '\\ud3c9')"
    settings = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    with command(body, **settings) as running:
        assert running.wait() == 0
    assert (tmp_path / "page").read_text(encoding="utf-8") == "\ud3c9"
