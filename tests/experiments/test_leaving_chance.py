"""leaving_chance.py: a run is kept for its recipe, its images and its length only."""

import json
import math
from unittest import mock

import pytest

from experiments.start import leaving_chance

# ml_collections loads a config's file in a way that Python will drop.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
CHANCE = math.log(40)


@pytest.fixture
def course(monkeypatch):
    """Losses that fall from chance; the lists says which config asked for them."""
    asked = []

    def losses(config, steps):
        asked.append((config.model.arch, config.data.dir, config.seed, steps))
        return ((CHANCE * (1.02 - 0.001 * k), CHANCE) for k in range(steps))

    monkeypatch.setattr(leaving_chance, "losses", losses)
    return asked


def leave(out, capsys, **given):
    """Run leaving_chance.py; return its last line."""
    values = {"data_dir": "/a", "prepared_dir": "", "recipes": ["image_folder"], "seeds": ["0"]}
    values |= {"steps": 60, "out": str(out)} | given
    with mock.patch.object(leaving_chance, "flags", mock.Mock(FLAGS=mock.Mock(**values))):
        leaving_chance.main([])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_recipes_of_one_spec_are_runs_of_their_own(tmp_path, capsys, course):
    found = leave(tmp_path, capsys, recipes=["image_folder", "ilsvrc2012"], seeds=["0", "1"])
    assert list(found["runs"]) == [
        f"{recipe}_{seed}" for seed in (0, 1) for recipe in ("image_folder", "ilsvrc2012")
    ]
    assert len(course) == 4 and found["chance"] == pytest.approx(CHANCE)
    assert found["runs"]["ilsvrc2012_1"]["left_at_step"] == 50
    assert (tmp_path / "curves.svg").read_text().count("ilsvrc2012") == 1  # of the legend
    assert json.loads((tmp_path / "summary.json").read_text()) == found


def test_a_run_is_kept_for_its_images_and_its_length(tmp_path, capsys, course):
    whole = leave(tmp_path, capsys)
    assert leave(tmp_path, capsys) == whole and len(course) == 1
    short = leave(tmp_path, capsys, steps=40)  # the first steps of the one that is there
    assert len(course) == 1
    assert short["runs"]["image_folder_0"]["steps"] == 40
    assert short["runs"]["image_folder_0"]["left_at_step"] is None
    assert leave(tmp_path, capsys, steps=80)["runs"]["image_folder_0"]["steps"] == 80
    leave(tmp_path, capsys, data_dir="/b")
    assert [steps for *_, steps in course] == [60, 80, 60]
    assert course[-1][1] == "/b"
