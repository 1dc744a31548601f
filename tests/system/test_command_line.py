"""What a command line refuses before its program begins."""

import errno
import os
import subprocess
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from alexnet_jax.system import command_line
from tests.support import tiny

# ml_collections loads a config's file in a way that Python is about to leave.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

CONFIG = f"--config={tiny.REPOSITORY}/tests/support/narrow_recipe.py"
IN_ONE_WORD = (
    "write a flag as --name=value, in one word; several runs each need their own --workdir="
)


def parsed(monkeypatch, *given: str, words: bool = False) -> list[str]:
    """Parse them as a program's that takes a config and folders of runs."""
    argv, values = ["program", *given], flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    flags.DEFINE_multi_string("workdir", [], "Folders.", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)
    return command_line._parse(argv, words)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            [CONFIG, "--config.model.lrn.enabled", "False", "--workdir=a"],
            f"unexpected 'False' after --config.model.lrn.enabled: {IN_ONE_WORD}",
        ),
        ([CONFIG, "--workdir", "a", "b"], f"unexpected 'b' after a: {IN_ONE_WORD}"),
        (["a", CONFIG, "--workdir=b"], f"unexpected 'a': {IN_ONE_WORD}"),
        (
            ["--workdir=a", "--config.data.dir=d"],
            "--config.data.dir sets a field of a config, but --config is missing: name the "
            "config's file, as in --config=configs/quickstart.py",
        ),
        (
            [CONFIG, "--config.modle.width=0.1"],
            "a name in --config.modle.width=0.1 is not in the config: 'modle' Did you mean "
            '"model" instead of "modle"?',
        ),
        (
            [CONFIG, "--config.model.widht=0.1"],
            "a name in --config.model.widht=0.1 is not in the config: 'widht' Did you mean "
            '"width" instead of "widht"?',
        ),
        (["--colour=red"], "Unknown command line flag 'colour'"),
    ],
)
def test_what_is_refused_is_one_line(given, said, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(monkeypatch, *given)
    assert ended.value.code == command_line.USER_ERROR
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_program_that_takes_words_gets_them(monkeypatch):
    found = parsed(monkeypatch, CONFIG, "a.jpg", "--workdir=run", "b.jpg", words=True)
    assert found == ["program", "a.jpg", "b.jpg"]
    assert parsed(monkeypatch, CONFIG, "--config.model.lrn.enabled=False") == ["program"]


NOISE = """
import asyncio, gc, logging, pathlib, sys, warnings
from alexnet_jax.system import command_line

async def read():
    raise ValueError("abandoned")

def main(_):
    warnings.warn("of ours", stacklevel=1)
    for name in ("jax._src.xla_bridge", "absl", "asyncio"):
        logging.getLogger(name).info("noise of %s", name)
    for name in ("absl", "asyncio"):
        logging.getLogger(name).error("noise of %s", name)
    logging.getLogger("jax._src.xla_bridge").warning("of JAX")
    loop = asyncio.new_event_loop()
    task = loop.create_task(read())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del task
    gc.collect()

command_line.run(main)
"""


def test_a_command_says_only_what_matters():
    done = subprocess.run(
        [sys.executable, "-c", NOISE], cwd=tiny.REPOSITORY, capture_output=True, text=True
    )
    first, second = done.stderr.splitlines()
    assert (done.returncode, first) == (0, "warning: of ours")
    assert second.endswith("of JAX")


def test_a_name_cannot_steer_the_terminal_nor_fill_it(capsys):
    command_line._print_error("a\x1b]0;b\x07\x9b c  d\r\n e\udcff" + "f" * 10**6 + "; advice")
    line = capsys.readouterr().err
    assert line.startswith("error: a\\x1b]0;b\\x07\\x9b c  d e\\udcfffff")
    assert line.endswith("fff; advice\n") and len(line) < 4100


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EISDIR]
)
def test_what_a_disk_refuses_is_one_line_with_the_file(number, capsys):
    def main(_):
        raise OSError(number, os.strerror(number), "/runs/a/metrics.jsonl")

    with pytest.raises(SystemExit) as ended:
        command_line._guarded(main, [])
    advice = "free some space" if number in (errno.ENOSPC, errno.EDQUOT) else "fix that"
    line = f"error: /runs/a/metrics.jsonl: {os.strerror(number)}; {advice} and run again\n"
    assert ended.value.code == 2 and capsys.readouterr().err == line


def test_help_does_not_wait_for_what_trains():
    program = "import alexnet_jax.main, sys; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"flax", "orbax.checkpoint", "tensorflow_datasets"} & set(ended.stdout.split())
