"""Does a recipe leave ln(classes), and when: the first steps of some recipes from some seeds.

    python experiments/leaving_chance.py --data_dir=/path/to/folder --steps=500 \
        --recipes=image_folder,ilsvrc2012_code2012 --seeds=0,1,2 --out=runs/leaving_chance

Each run's losses go to OUT/<spec>_<seed>.jsonl, a line for the mean of each ten steps; runs that
are there, and as long, are not made again. Ends with a picture, OUT/curves.svg (matplotlib), and
one JSON object: for each run the first step from which the mean loss stays 2 % below ln(classes).
"""

import importlib
import json
import math
import pathlib

import jax
from absl import app, flags
from first_steps import WINDOW, left_at, losses, windows
from ml_collections import ConfigDict

from alexnet_jax.whole_file import write_whole

_DATA = flags.DEFINE_string("data_dir", None, "Folder of class folders.", required=True)
_PREPARED = flags.DEFINE_string("prepared_dir", "", "Where its 256x256 copy lives.")
_RECIPES = flags.DEFINE_list("recipes", ["image_folder", "ilsvrc2012_code2012"], "Of configs/.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "One run each.")
_STEPS = flags.DEFINE_integer("steps", 500, "Of each run.")
_OUT = flags.DEFINE_string("out", None, "Folder of the curves.", required=True)


def config_of(recipe: str, seed: int) -> ConfigDict:
    """Return a recipe on the images given, one device, the rate as it starts."""
    config = importlib.import_module(f"configs.{recipe}").get_config()
    config.seed = seed
    config.data.builder, config.data.dir = "image_folder", _DATA.value
    config.data.prepared_dir = _PREPARED.value
    config.model.classes = 0
    config.mesh.data = config.mesh.group = 1
    return config


def run(recipe: str, seed: int, out: pathlib.Path) -> tuple[pathlib.Path, str]:
    """Make one run, or find it made as long; return its file and its spec."""
    config = config_of(recipe, seed)
    path = out / f"{config.model.spec}_{seed}.jsonl"
    if _steps_in(path) < _STEPS.value // WINDOW * WINDOW:
        lines = []
        for line in windows(losses(config, _STEPS.value)):
            lines.append(json.dumps(line))
            print(path.stem, lines[-1], flush=True)
        write_whole(path, "\n".join(lines) + "\n")
    return path, config.model.spec


def _steps_in(path: pathlib.Path) -> int:
    return json.loads(path.read_text().splitlines()[-1])["step"] if path.exists() else 0


def draw(curves: dict[str, list[dict]], path: pathlib.Path) -> None:
    """Draw all curves, a colour a spec."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "alexnet"
    specs = list(dict.fromkeys(name.rpartition("_")[0] for name in curves))
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, lines in curves.items():
        kind = name.rpartition("_")[0]
        steps, values = zip(*((line["step"], line["loss"]) for line in lines), strict=True)
        axes.plot(steps, values, color=f"C{specs.index(kind)}", label=kind, alpha=0.8)
    chance = next(iter(curves.values()))[0]["chance"]
    axes.axhline(chance, color="grey", linestyle=":", label=f"ln({round(math.exp(chance))})")
    handles = {
        label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    axes.legend(handles.values(), handles.keys())
    axes.set(xlabel="step", ylabel="loss, nats")
    figure.savefig(path, metadata={"Date": None})


def main(_) -> None:
    """Make what runs are missing, in turns over the recipes, and sum up."""
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    curves, result = {}, {}
    for seed in map(int, _SEEDS.value):
        for recipe in _RECIPES.value:
            path, _spec = run(recipe, seed, out)
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            curves[path.stem] = lines
            result[path.stem] = {"left_at_step": left_at(lines), "last_loss": lines[-1]["loss"]}
    draw(curves, out / "curves.svg")
    print(json.dumps({"steps": _STEPS.value, "device": jax.devices()[0].platform, "runs": result}))


if __name__ == "__main__":
    app.run(main)
