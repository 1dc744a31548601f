"""plateau_map.py: the recipes of its maps, runs that are kept, what is said and drawn of them."""

import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

from alexnet_jax.doctor import examine
from alexnet_jax.net import resolving
from experiments.start import first_steps, plateau_map
from experiments.start.first_steps import start
from experiments.start.plateau_map import agreement, draw, run_all, summary, table
from experiments.start.plateau_recipes import MAPS, map_of
from experiments.support.recipe import read_config
from experiments.support.run_lines import RunLines
from experiments.sweeps.runs import plan
from tests.support import tiny

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

GIVEN = [f"--config={tiny.REPOSITORY}/configs/image_folder.py", "--config.model.width=0.25"]
SPREAD = {"conv1": 0.5}


# One counts its classes, the other is of ten.
@pytest.mark.parametrize("recipe", ["image_folder", "quickstart"])
@pytest.mark.parametrize(
    ("name", "count"), [("start", 2 * 3 * 2 * 3), ("norm", (4 * 3 + 2) * 2), ("weaker", 5)]
)
def test_every_recipe_is_one_that_the_config_takes_and_another(name, count, recipe, tmp_path):
    given = [f"--config={tiny.REPOSITORY}/configs/{recipe}.py", "--config.model.width=0.25"]
    drawn = map_of(name, read_config(given))
    settings = drawn.settings()
    runs = plan(settings, given, 1, tmp_path)
    assert len({read_config(run.flags[:-2]).to_json() for run in runs}) == count == len(runs)
    rows, columns = drawn.row_names(), drawn.column_names()
    names = [f"{row}; {column}".removesuffix("; ") for row in rows for column in columns]
    assert [one.name for one in settings] == names


def test_the_recipes_are_those_that_their_names_say():
    configs = {}
    for kind in MAPS:
        for setting in map_of(kind, read_config(GIVEN)).settings():
            configs[setting.name] = read_config([*GIVEN, *setting.flags()])
    found = configs["0.03 in conv3-5; bias 0.1; pixels of deviation 1; LRN, Caffe"]
    net, caffe = resolving.resolve(found.model, 40), resolving.resolve(resolving.overrides("caffe"))
    assert dataclasses.replace(net.lrn, scope="layer") == caffe.lrn
    assert found.data.divide_by == (58.4, 57.1, 57.4)
    # A quarter of the inputs, so twice the deviation; conv1 has its three colours.
    assert [getattr(net.init.std, name) for name in ("conv1", "conv2", "conv3", "fc8")] == [
        *(0.01, 0.02, 0.06, 0.02)
    ]
    biases = dataclasses.asdict(net.init.bias)
    assert {name for name, value in biases.items() if value == 0.1} == {
        *("conv2", "conv4", "conv5", "fc6", "fc7")  # paper 5
    }
    assert biases["conv1"] == biases["conv3"] == biases["fc8"] == 0
    given = [read_config(GIVEN), *(configs[f"deviations x {x}"] for x in (1.0, 0.5))]
    nets = [resolving.resolve(one.model, 40) for one in given]
    before, same, half = ([getattr(net.init.std, x.name) for x in net.layers] for net in nets)
    assert same == before and half == [value / 2 for value in before]
    found = configs["LRN n = 11, k = 0; pixels 0-255"]
    net = resolving.resolve(found.model, 40)
    assert (net.lrn.n, net.lrn.k, net.init.std.fc6) == (11, 0.0, 0.02)
    assert found.data.divide_by == (1.0, 1.0, 1.0)


def line(setting: str, seed: int, *, left: float | None, loss=1.0, verdict="starts"):
    found = {"pull": 0.5, "verdict": verdict, "spread": SPREAD, "left_at_step": left}
    return {"setting": setting, "seed": seed, **found, "steps": 60, "loss": loss}


def test_runs_are_made_once_first_seeds_first(tmp_path, monkeypatch):
    made = []

    def fake(config, steps):
        made.append((config.model.lrn.n, config.seed))
        if len(made) == 4:
            raise KeyboardInterrupt
        return {"pull": 1.0, "verdict": "starts", "spread": SPREAD, "left_at_step": 20.0} | {
            "steps": steps,
            "loss": 1.5,
        }

    monkeypatch.setattr(plateau_map, "start", fake)
    settings = map_of("norm", read_config(GIVEN)).settings()[::8][:3]  # n = 1, 3, 5
    path = tmp_path / "norm.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run_all(settings, GIVEN, RunLines(path), 2, 60)
    lines = run_all(settings, GIVEN, RunLines(path), 2, 60)
    assert made == [(1, 0), (3, 0), (5, 0), (1, 1), (1, 1), (3, 1), (5, 1)]
    assert lines == [json.loads(text) for text in path.read_text().splitlines()]
    assert [found["seed"] for found in lines] == [0, 0, 0, 1, 1, 1]
    run_all(settings[:1], [*GIVEN, "--config.batch_size=8"], RunLines(path), 1, 60)
    run_all(settings[:1], GIVEN, RunLines(path), 1, 50)
    assert len(made) == 9  # another recipe, and another length
    recipe = tmp_path / "mine.py"
    for size in (8, 16):
        recipe.write_text(
            "from configs import image_folder\ndef get_config():\n"
            f"    config = image_folder.get_config()\n    config.batch_size = {size}\n"
            "    return config\n"
        )
        run_all(settings[:1], [f"--config={recipe}"], RunLines(path), 1, 60)
    assert len(made) == 11  # a file of the same name that says something else


def test_what_is_said_and_drawn(tmp_path):
    drawn = map_of("norm", read_config(GIVEN))
    settings = drawn.settings()
    lines = [line(setting.name, seed, left=20.0 + seed) for setting in settings for seed in (0, 1)]
    lines[1] |= {"left_at_step": None}  # the doctor was wrong
    lines[2] |= {"left_at_step": None, "loss": None, "verdict": "does not start"}
    rows = summary(settings, lines)
    assert (rows[0]["left"], rows[0]["runs"], rows[0]["left_at_step"]) == (1, 2, [20.0, None])
    assert rows[1]["losses"] == [None, 1.0] and rows[1]["spread"] == SPREAD
    assert agreement(lines) == {"runs": len(lines), "right": len(lines) - 1}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(rows))
    said = console.export_text()
    assert "1/2" in said and "20, -" in said and "no number, 1.000" in said
    draw(drawn, rows, tmp_path / "map.svg")
    picture = (tmp_path / "map.svg").read_text()
    assert picture.startswith("<?xml") and picture.count("<!-- no number -->") == 1


@pytest.mark.slow
def test_a_run_ends_when_the_loss_has_left_and_when_it_is_no_number(tmp_path, monkeypatch):
    config = tiny.config(tiny.write_images(tmp_path), batch_size=4)
    found = examine.examine(config)
    monkeypatch.setattr(examine, "examine", lambda _: found)
    asked = start(config, 0)
    assert (asked["steps"], asked["loss"], asked["left_at_step"]) == (0, None, None)
    assert set(asked["spread"]) == {f"conv{k}" for k in range(1, 6)} | {"fc6", "fc7", "fc8"}
    assert asked["pull"] == pytest.approx(sum(layer.pull for layer in found[0].values()), rel=0.01)
    assert asked["verdict"] == examine.judge(*found)[0]

    def course(losses):
        chance = math.log(3)
        monkeypatch.setattr(first_steps, "losses", lambda *_: iter((x, chance) for x in losses))
        found = start(config, 200)
        return found["left_at_step"], found["steps"], found["loss"]

    low, high = 0.9, 1.1
    assert course([high] * 30 + [low] * 170) == (40, 80, low)
    assert course([low] * 20 + [high] * 180) == (None, 200, high)
    assert course([high] * 15 + [math.nan] * 185) == (None, 20, None)
