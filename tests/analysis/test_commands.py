"""The command lines: all can be imported in one process, and each defines its own flags."""

import json
import subprocess
import sys

import pytest

from tests.support import tiny

RUN = {"workdir", "checkpoint"}
COMMANDS = {
    "analysis.classes": {*RUN, "data_dir", "views", "classes", "rows"},
    "analysis.colour": RUN,
    "analysis.explore.__main__": {*RUN, "out", "classes", "training_images"},
    "analysis.features.__main__": {*RUN, "data_dir", "classes", "layer", "split", "out"},
    "analysis.figure4.__main__": {
        *(*RUN, "data_dir", "seed", "images", "queries", "classes", "features_dir")
    },
    "analysis.figures": {*RUN, "data_dir", "out", "figures"},
    "analysis.filters": {*RUN, "each", "magnification"},
    "analysis.report.__main__": {"workdir", "out"},
    "weights.__main__": {*RUN, "out", "arch", "mean", "config"},
}
# --help of a command lists the key flags of its module.
PROGRAM = """
import importlib, json, sys
from absl import flags
import alexnet_jax.net.__main__
names = [f"alexnet_jax.{name}" for name in sys.argv[1:]]
modules = [importlib.import_module(name) for name in names]
of_import = [m for m in flags.FLAGS.flags_by_module_dict() if m.startswith("alexnet_jax")]
before, key_flags = set(flags.FLAGS), []
for module in modules:
    module.define_flags()
    key_flags.append([flag.name for flag in flags.FLAGS.get_key_flags_for_module(module.__name__)])
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
print(json.dumps([of_import, key_flags]))
"""


@pytest.mark.slow
def test_all_are_imported_in_one_process_and_each_defines_its_flags_when_it_runs():
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *COMMANDS],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    of_import, key_flags = json.loads(process.stdout)
    assert of_import == []
    assert [set(names) for names in key_flags] == list(COMMANDS.values())
