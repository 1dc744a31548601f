"""The exported net elsewhere: in ONNX Runtime, and what a .jaxexport says of who can read it."""

import json
import re
import subprocess
import sys

import jax
import numpy as np
import onnxruntime
import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.export import _jax2onnx
from alexnet_jax.inference.predictor import predictor
from alexnet_jax.run.restore import restore
from tests.support import commands, tiny, weight_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    weight_files.drawn_run(folder, folder / "run")
    return folder / "run"


CASES = [(1, 3), (5, 1), (10, 2)]  # views, images


@pytest.fixture(scope="module")
def folder(run):
    """What the command writes for CASES, in another process: jax2onnx changes JAX for a while."""
    program = (
        "import json\n"
        "from tests.support import commands\n"
        f"for views, batch in {CASES}:\n"
        f"    out = f'--out={run.parent}/{{views}}.onnx'\n"
        f"    flags = ('--workdir={run}', out, f'--views={{views}}', f'--batch={{batch}}')\n"
        "    done = commands.run('export', *flags)\n"
        "    assert done.code == 0 and done.err == '', done.err\n"
        "    assert json.loads(done.out)['batch'] == batch\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tiny.REPOSITORY, check=True)
    return run.parent


@pytest.mark.parametrize(("views", "batch"), CASES)
def test_onnx_runtime_gives_the_same_probabilities(run, folder, views, batch):
    """The exported net gives the same probabilities in ONNX Runtime, to 1e-6."""
    out = folder / f"{views}.onnx"
    assert json.loads(out.with_suffix(".json").read_text())["classes"] == ["ant", "bee", "cow"]
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(out, quiet)
    images = np.random.default_rng(views).integers(0, 256, (batch, 256, 256, 3), np.uint8)
    (found,) = session.run(["probabilities"], {"images": images})
    restored = restore(run)
    expected = np.asarray(predictor(restored, views)(images))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.ptp(expected) > 0.01 and found.shape == (batch, 3)


def test_without_jax2onnx_one_line_names_the_file_of_requirements(monkeypatch):
    """What .onnx needs is named in one line where it is missing."""
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(ConfigError, match=r"pip install --no-deps -r requirements-onnx.txt$"):
        _jax2onnx()


def test_the_json_of_a_jaxexport_says_who_can_read_it(run, tmp_path):
    """The exported function's JSON names JAX's version and until when it can be read."""
    out = tmp_path / "net.jaxexport"
    done = commands.run("export", f"--workdir={run}", f"--out={out}")
    assert done.code == 0, done.err
    said = json.loads(out.with_suffix(".json").read_text())
    assert said["jax"] == jax.__version__
    assert re.search(rf"JAX {re.escape(jax.__version__)} and .* six months", said["readable"])
    for flags in (("--out=x.bin",), (f"--out={out}", "--batch=2")):
        refused = commands.run("export", f"--workdir={run}", *flags)
        assert refused.code == 2 and refused.err.count("\n") == 1
