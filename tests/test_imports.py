"""The house: who may import whom, and what nobody imports."""

import ast
import pathlib
import subprocess
import sys

import pytest

from tests.support import tiny

PACKAGE = tiny.REPOSITORY / "alexnet_jax"

# From the top down: a module imports only from the floors below its own, a module of data/
# besides from its neighbours, in the order of the second table.
FLOORS = [
    {"main", "evaluate", "predict", "export", "doctor"},
    {"train", "page"},
    {"loop"},
    {"analysis"},
    {"signal_check"},
    {"saved_run", "evaluation", "comparison", "evaluations"},
    {"weights"},
    {"checkpoint", "logger", "run_data"},
    {"train_step", "run_folder"},
    {"model", "data"},
    {"command_line", "idle_fields"},
    {"layers", "schedule", "sharding", "config", "interrupt", "clock", "epochs", "filters"},
    {"distributed", "optimizer", "events"},
    {"arch", "metrics", "ops", "convolution", "random_streams", "peer_watch"},
    {"ensemble", "predictions"},
    {"atomic_file", "host_memory", "cores"},
    {"memory_in_use"},
    {"errors"},
]
DATA_FLOORS = [
    {"check"},
    {"prepare", "loader", "augment", "audit"},
    {"files"},
    {"building", "prepared", "ilsvrc", "tfds_source", "constants", "resized_crop"},
    {"synsets"},
    {"disk", "archives", "devkit"},
    {"datasets", "folders"},
    {"shards"},
    {"convert", "progress"},
    {"sources", "statistics"},
    {"shapes", "release_facts"},
    {"images"},
    {"odd", "resize", "recycled"},
]
SPEC_FLOORS = [{"__main__"}, {"figure"}, {"listing"}, {"resolving"}, {"table"}, {"fields"}]
WEIGHTS_FLOORS = [
    {"__main__", "initial"},
    {"importing", "exporting", "runs"},
    {"files", "mean"},
    {"caffe", "numpy_files", "weights"},
    {"layout"},
]
ANALYSIS_FLOORS = [
    {"report", "filters", "figure4", "features", "classes"},
    {"curves", "findings", "settings"},
    {"paper", "colour_plot"},
    {"standing"},
    {"chart", "run_record"},
    {"markup"},
    {"colour", "similar", "figure4_picture"},
    {"conv1", "extraction", "neighbours", "feature_file", "feature_export"},
    {"images", "shown", "names", "command"},
]
INNER = {
    "analysis": ANALYSIS_FLOORS,
    "data": DATA_FLOORS,
    "arch": SPEC_FLOORS,
    "weights": WEIGHTS_FLOORS,
}
COMMANDS = {("arch", "__main__"), ("arch", "figure"), ("arch", "listing")}  # they stand above all


def imported(path: pathlib.Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            for alias in node.names:
                whole = tiny.REPOSITORY / pathlib.Path(*node.module.split("."), alias.name)
                is_module = whole.with_suffix(".py").exists() or whole.is_dir()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def floor(table: list[set[str]], name: str) -> int:
    (found,) = [i for i, names in enumerate(table) if name in names] or [None]
    assert found is not None, f"{name} stands on no floor: add it to the table above"
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_downward_only(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imported(path):
        root, *rest = name.split(".")
        assert root not in ("configs", "experiments", "tests"), name
        if name.startswith("alexnet_jax.analysis"):
            assert own[0] in ("page", "analysis"), f"only the page looks at results: {name}"
        if root != "alexnet_jax" or not rest:
            continue
        if own[0] == rest[0] in INNER:
            inner = INNER[own[0]]
            assert len(rest) == 1 or floor(inner, own[1]) < floor(inner, rest[1]), name
        elif own not in COMMANDS:
            assert floor(FLOORS, own[0]) < floor(FLOORS, rest[0]), name


def test_the_tables_name_only_what_is_there():
    there = {path.relative_to(PACKAGE).with_suffix("").parts for path in FILES}
    assert set.union(*FLOORS) == {parts[0] for parts in there}
    for package, floors in INNER.items():
        assert set.union(*floors) == {parts[1] for parts in there if parts[0] == package}


def test_no_other_framework_is_ever_loaded():
    program = "import sys, alexnet_jax.main, alexnet_jax.data.prepare; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    out = {name.partition(".")[0] for name in loaded}
    assert "jax" in out and "alexnet_jax" in out
    assert not {"tensorflow", "torch", "tensorboard", "sklearn", "matplotlib"} & out
    assert not {"configs", "experiments", "tests"} & out
    assert "alexnet_jax.analysis" not in loaded  # main needs it where an epoch ends, and not before
