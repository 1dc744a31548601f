"""The benchmark of inference: what the other engines are given, and the line without them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.our_step import MEAN, OurStep
from tests.support import tiny


def test_engines_get_the_centre_without_the_mean_and_our_answers():
    ours = OurStep(2, "float32", "small", width=0.05)
    answered = ours.answered()
    images = np.asarray(ours._batch["image"]).astype(np.float32)
    np.testing.assert_array_equal(answered["images"], images[:, 4:60, 4:60] - MEAN)
    assert answered["conv1.kernel"].shape[:4] == (2, 5, 5, 3)
    assert answered["fc8.bias"].shape == (200,)
    np.testing.assert_allclose(answered["ours"].sum(-1), [1, 1], rtol=1e-5)


@pytest.mark.slow
def test_the_line():
    program = "from experiments.bench import inference; inference.importlib.util.find_spec = "
    program += "lambda _: None; inference.turns.define_flags(); inference.turns.define_turns(); "
    program += "inference.command_line.run(inference.main)"
    done = subprocess.run(
        [sys.executable, "-c", program, "--arch=small", "--batch=2", "--rounds=1"],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["inference"]["ours"]["ratio"] == 1 and set(line["inference"]) == {"ours"}
    assert line["vector_bits"] in (128, 256, 512, None) and line["cores"] >= 1
