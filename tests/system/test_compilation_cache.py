"""What is compiled is kept for the next start, and a command says where it cannot be."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
from alexnet_jax.system import command_line

def main(_):
    hits = []
    jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
    jax.jit(lambda x: x + 1)(1.0).block_until_ready()
    print(sum(name.endswith("cache_hits") for name in hits))

command_line.run(main)
"""


def start(tmp_path, *flags: str, **environment: str) -> tuple[int, str]:
    """Run a command that compiles; return how many programs it found, and what it warned of."""
    kept = {
        name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"
    }
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, program, *flags],
        env={
            **kept,
            "PYTHONPATH": os.getcwd(),
            "HOME": str(tmp_path / "home"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ended.stdout), ended.stderr


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_the_second_start_compiles_nothing_again(tmp_path, variable):
    chosen = {variable: str(tmp_path / "chosen")}
    assert start(tmp_path, **chosen) == (0, "")
    hits, warned = start(tmp_path, **chosen)
    assert hits >= 1 and not warned
    folder = {"HOME": ".cache/alexnet_jax/compiled", "XDG_CACHE_HOME": "alexnet_jax/compiled"}
    assert any((tmp_path / "chosen" / folder.get(variable, "")).glob("jit_*-cache"))
    assert start(tmp_path, "--nokeep_compiled", **chosen) == (0, "")


def test_a_home_that_is_no_folder_is_one_warning(tmp_path):
    (tmp_path / "home").write_text("")
    hits, warned = start(tmp_path)
    assert hits == 0 and len(warned.splitlines()) == 1
    assert warned.startswith("warning: compiled programs are not kept for the next start (")
    assert "give --nokeep_compiled" in warned


def test_a_damaged_program_is_compiled_again_and_kept(tmp_path):
    start(tmp_path)
    for file in (tmp_path / "home/.cache/alexnet_jax/compiled").glob("jit_*-cache"):
        file.write_bytes(file.read_bytes()[:100])
    hits, warned = start(tmp_path)
    assert hits == 0 and warned
    assert all(line.startswith("warning: ") for line in warned.splitlines())
    hits, warned = start(tmp_path)
    assert hits >= 1 and not warned
