"""The package as a library: from a notebook, in a thread, after JAX has started; quietly."""

import json
import re
import subprocess
import sys

import pytest

import alexnet_jax
from tests.support import tiny

# What a library leaves as it finds it.
PROCESS = """
import json, logging, os, signal, sys, threading, warnings
import jax

def process():
    levels = {name: logging.getLogger(name).level for name in ("absl", "asyncio", "jax", "")}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hooks = (warnings.showwarning, sys.unraisablehook, sys.excepthook, threading.excepthook)
    files = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)]
    settings = {name: getattr(jax.config, name, None) for name in jax.config.values}
    variables = {**os.environ, "LD_LIBRARY_PATH": ""}  # OpenCV, which TFDS imports, sets that one
    return levels, handlers, hooks, files, settings, variables

"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, and in `run` a run of one epoch that had a column on each of two devices."""
    folder = tiny.write_images(tmp_path_factory.mktemp("python"))
    flags = tiny.run_flags(folder, folder / "run", epochs=1, mesh__cpu_devices=2)
    process = tiny.start(*flags)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0 and "'group': 2" in said, said
    return folder


def run(program: str, *words: str) -> dict:
    """Run a program in a process of its own; return the JSON in its last line."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROCESS + program, *words],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


RESTORE = """
assert len(jax.devices()) == 1  # JAX has started
import pathlib
from alexnet_jax.inference.predictor import Predictor, make_predict, predicted
from alexnet_jax.run.restore import restore
import numpy as np

before = process()
answers = []
for workdir in (sys.argv[1], pathlib.Path(sys.argv[1])):
    net = restore(workdir, "latest")
    predictor = Predictor(net, make_predict(net.arch, net.mesh, 1))
    images = np.random.default_rng(0).integers(0, 256, (4, 256, 256, 3), np.uint8)
    batch = {"image": images, "mask": np.ones(4, np.float32)}
    ((probabilities,), _), = predicted([predictor], [batch])
    answers.append(probabilities.tolist())
assert process() == before
print(json.dumps({"mesh": net.mesh.size, "answers": answers}))
"""


def test_restore_and_predict_after_jax_has_started_with_one_device(folder):
    found = run(RESTORE, str(folder / "run"))
    assert found["mesh"] == 1
    first, second = found["answers"]
    assert first == second and len(first) == 4
    assert all(sum(row) == pytest.approx(1, abs=1e-5) and len(row) == 3 for row in first)


def test_the_readmes_lines(folder):
    program = tiny.python_in("README.md", "import predictor, restore").replace(
        "runs/quickstart", "{}"
    )
    program = program.format(folder / "run")
    assert len(program.splitlines()) <= 10
    found = run(f"{program}\nprint(json.dumps(probabilities.sum(1).tolist()))")
    assert found == pytest.approx([1] * 8, abs=1e-5)


@pytest.mark.slow
def test_the_lines_of_docs_library(tmp_path):
    page = (tiny.REPOSITORY / "docs/library.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    program = "\n".join(blocks).replace("runs/", f"{tmp_path}/")
    small = (
        "config.epochs = 1\nconfig.data.prepared_dir = sys.argv[1]\nconfig.data.resident = 'off'"
    )
    assert "config.epochs = 2" in program
    program = program.replace("config.epochs = 2", f"{small}\nconfig.model.width = 0.05")
    program += """
shapes = logits.shape, kept["pool2"].shape, kept["fc7"].shape
near = abs(float(ours[0, 4] - by_hand))
print(json.dumps({"shapes": shapes, "near": near, "sums": probabilities.sum(1).tolist()}))
"""
    found = run(program, str(tmp_path))
    assert found["shapes"] == [[4, 10], [2, 4, 6, 6, 128], [2, 4, 2048]]
    assert found["near"] < 1e-6
    assert found["sums"] == pytest.approx([1] * 8, abs=1e-5)


IMPORT = """
import alexnet_jax
assert "jax" in sys.modules and "flax" not in sys.modules  # PROCESS imports jax
names = [getattr(alexnet_jax, name) for name in alexnet_jax.__all__]
assert all(name in dir(alexnet_jax) for name in alexnet_jax.__all__)
from alexnet_jax import train
assert callable(train.train)
print(json.dumps([type(x).__name__ for x in names]))
"""


def test_the_names_of_the_package_are_there_when_they_are_asked_for():
    assert run(IMPORT)[1:] == ["function"] * 5
    with pytest.raises(AttributeError, match="no attribute 'alexnet'"):
        _ = alexnet_jax.alexnet


TRAIN = """
jax.devices()  # JAX has started
import pathlib
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.train import train
from tests.support import tiny

results = []
config = tiny.config(pathlib.Path(sys.argv[1]), epochs=1)
before = process()
thread = threading.Thread(target=lambda: results.append(train(config, sys.argv[2])))
thread.start()
thread.join()
assert process() == before
with Checkpoints(sys.argv[2]) as checkpoints:
    steps = checkpoints.steps()
assert process() == before
print(json.dumps({**results[0], "steps": steps}))
"""


def test_train_in_a_thread(folder, tmp_path):
    found = run(TRAIN, str(folder), str(tmp_path / "run"))
    assert found["split"] == "val" and found["step"] == tiny.EPOCH_ENDS[0]
    assert found["steps"][-1] == tiny.EPOCH_ENDS[0]


COMMANDS = """
import importlib, pathlib
from absl import flags

package = pathlib.Path("alexnet_jax")
names = [path for path in package.rglob("*.py") if "command_line.run(" in path.read_text()]
names = [".".join(path.with_suffix("").parts) for path in names]
before = process()
for name in names:
    importlib.import_module(name)
assert process() == before
defined = sorted({"workdir", "config", "checkpoint", "views"} & set(flags.FLAGS))
print(json.dumps({"commands": names, "defined": defined}))
"""


def test_all_commands_can_be_imported_in_one_process():
    found = run(COMMANDS)
    assert {"alexnet_jax.main", "alexnet_jax.evaluate"} < set(found["commands"])
    assert len(found["commands"]) > 10 and found["defined"] == []
