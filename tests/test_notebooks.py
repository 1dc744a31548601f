"""The notebooks run, and show what they say."""

import os
import subprocess
import sys

import pytest

from tests.support import tiny

FOLDER = tiny.REPOSITORY / "docs" / "notebooks"
SHOWN = {
    "the_net": """
assert logits.shape == (4, 10) and error < 1e-6
assert changed == {"pool1": False, "pool2": False, "relu3": True}
""",
    "training": """
assert update_error < 1e-6
assert np.allclose(scales, [1.0] * 7 + [0.1] * 3)  # five in a row without improvement
assert without[-1] < with_dropout[-1] < with_dropout[0]
""",
    "changing_an_idea": """
assert all(0 < e < 1 for pair in errors.values() for e in pair) and errors["lrn"] != errors["rms"]
assert low < np.mean(errors["rms"]) - np.mean(errors["lrn"]) < high
""",
}


def test_each_notebook_is_tried():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_notebook_shows_what_it_says(name, tmp_path):
    program = (FOLDER / f"{name}.py").read_text() + SHOWN[name]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(tiny.REPOSITORY)}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
