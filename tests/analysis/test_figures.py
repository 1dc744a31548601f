"""Figure 1 of the paper from runs of one's own; tests/runs/test_analysis.py has the others."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from alexnet_jax.analysis import figures
from alexnet_jax.errors import ConfigError
from alexnet_jax.run import folder
from tests.support import tiny


@pytest.fixture
def workdirs(tmp_path):
    """Runs that logged their training: relu twice, of two seeds, and tanh."""
    made = []
    for number, name in enumerate(("one/relu", "two/relu", "tanh")):
        made.append(tmp_path / name)
        made[-1].mkdir(parents=True)
        folder.write_run(made[-1], tiny.config(tmp_path, seed=number))
        lines = [
            {"step": k, "epoch": k / 10, "split": split, "loss": 1.0, "top1_error": error}
            for k, split, error in ((5, "train", 0.8), (10, "train", 0.3), (10, "val", 0.9))
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (made[-1] / "metrics.jsonl").write_text(text)
    return made


def test_figure_1_is_the_training_error_of_the_runs_by_epoch(workdirs, tmp_path):
    parts = figures.Runs(workdirs, "best").figure1()
    (axes,) = parts["figure1"](figures.SIZES[0]).axes
    *runs, target = axes.lines
    assert [line.get_xydata().tolist() for line in runs] == [[[0.5, 0.8], [1.0, 0.3]]] * 3
    assert [line.get_linestyle() for line in runs] == ["-", "-", "--"]  # as in the paper
    assert target.get_ydata() == [0.25, 0.25]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["relu", "tanh"]

    files = figures.write(parts, tmp_path)
    names = [f"figure1-{size}.{form}" for size in ("slide", "column") for form in ("svg", "pdf")]
    assert files == [str(tmp_path / name) for name in names]
    slide, column = (ElementTree.parse(file).getroot() for file in files[::2])
    assert (slide.get("width"), column.get("width")) == (f"{12.3 * 72:g}pt", f"{3.25 * 72:g}pt")
    for picture in (slide, column):
        assert "training error rate" in list(picture.itertext())  # text stays text


def test_figure_1_of_one_run_is_refused(workdirs):
    with pytest.raises(ConfigError, match="give --workdir for each"):
        figures.Runs(workdirs[:1], "best").figure1()
