"""Settings of JAX and of the machine that would change a run's numbers."""

import json
import os
import subprocess
import sys

import jax
import pytest

from alexnet_jax.run import folder
from alexnet_jax.system.random_streams import root_key
from tests.support import narrow_recipe, tiny


@pytest.mark.parametrize(
    "setting",
    [
        "JAX_ENABLE_X64=1",
        "JAX_DEFAULT_PRNG_IMPL=rbg",
        "JAX_THREEFRY_PARTITIONABLE=0",
        "JAX_RANDOM_SEED_OFFSET=5",
        "JAX_ENABLE_CUSTOM_PRNG=1",
    ],
)
def test_a_command_draws_the_same_numbers_under_any_setting(setting):
    """A command's draws have the same bits whatever JAX's variables say."""
    program = (
        "import jax; from alexnet_jax.system import command_line, random_streams as r; "
        "command_line.run(lambda _: print(jax.random.normal(r.stream(r.root_key(7), 'a'), (4,))))"
    )
    name, value = setting.split("=")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, name: value},
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = jax.random.normal(jax.random.fold_in(root_key(7), 0xE8B7BE43), (4,))  # crc32 of "a"
    assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize(
    ("name", "was"),
    [
        ("cores", 7),
        ("vector_bits", 99),
        ("xla_flags", "--xla_cpu_max_isa=SSE4_2"),
        ("devices", ["gpu:NVIDIA H200"]),
        ("devices", ["cpu:cpu"] * 8),
        ("matmul_precision", "bfloat16"),
        ("jax_enable_x64", "True"),
        ("jax_optimization_level", "O3"),
        ("jax_disable_jit", "True"),
        ("jax", "0.9.0"),
        ("jaxlib", "0.9.0"),
        ("optax", "0.2.7"),  # the update
        ("simplejpeg", "1.8.0"),  # what is decoded in each epoch
    ],
)
def test_a_resume_in_another_environment_says_so(tmp_path, name, was):
    """A resume says which of cores, vectors, versions and settings differ."""
    folder.write_run(tmp_path, narrow_recipe.get_config())
    assert folder.other_machine(tmp_path) is None
    file = tmp_path / "environment.json"
    known = json.loads(file.read_text())
    parts = (known["packages"], known["jax_settings"])
    next((part for part in parts if name in part), known)[name] = was
    file.write_text(json.dumps(known))
    said = folder.other_machine(tmp_path)
    told = f"{len(was)} {was[0]}" if name == "devices" else was
    assert said is not None and f"{name}: {told!r}, now " in said and "\n" not in said
