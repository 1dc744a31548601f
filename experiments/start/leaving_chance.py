"""Measure whether and when the loss of a recipe leaves ln(classes), from several seeds.

    python -m experiments.start.leaving_chance --data_dir=/path/to/folder --steps=500 \
        --recipes=image_folder,ilsvrc2012_code2012 --seeds=0,1,2 --out=runs/leaving_chance

Each run's losses go to OUT/<recipe>_<seed>.jsonl, a line for the mean of each ten steps. A run that
exists with the same config and at least as many steps is not made again. Ends with a picture,
OUT/curves.svg (matplotlib), and one JSON object, also OUT/summary.json: for each run the first step
from which the mean loss stays 2 % below ln(classes).
"""

import json
import math
import pathlib

import jax
from absl import flags
from matplotlib import pyplot
from ml_collections import ConfigDict

from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.paths import user_path
from experiments.start.first_steps import WINDOW, left_at, losses, windows
from experiments.support import pictures
from experiments.support.recipe import digest, read_config
from experiments.support.run_lines import Line, RunLines


def config_of(recipe: str, seed: int, data_dir: str, prepared_dir: str = "") -> ConfigDict:
    """Return a recipe of configs/ for a folder of images, on one device."""
    config = read_config([f"--config={recipe}"])
    config.seed = seed
    config.data.builder, config.data.dir = "image_folder", data_dir
    config.data.prepared_dir = prepared_dir
    config.model.classes = 0
    config.mesh.data = config.mesh.group = 1
    return config


def run(config: ConfigDict, path: pathlib.Path, steps: int) -> list[Line]:
    """Make one run, unless it exists with enough steps; return its lines up to `steps`."""
    recipe = digest(config)
    lines = [line for line in RunLines(path).lines if line.get("recipe") == recipe]
    if not lines or lines[-1]["step"] < steps // WINDOW * WINDOW:
        lines = []
        for line in windows(losses(config, steps)):
            lines.append({**line, "recipe": recipe})
            print(path.stem, json.dumps(line), flush=True)
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in lines))
    return [line for line in lines if line["step"] <= steps]


def draw(curves: dict[str, list[dict]], path: pathlib.Path) -> None:
    """Draw all curves; each recipe has a colour."""
    recipes = list(dict.fromkeys(name.rpartition("_")[0] for name in curves))
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, lines in curves.items():
        kind = name.rpartition("_")[0]
        steps, values = zip(*((line["step"], line["loss"]) for line in lines), strict=True)
        axes.plot(steps, values, color=f"C{recipes.index(kind)}", label=kind, alpha=0.8)
    chance = next(iter(curves.values()))[0]["chance"]
    axes.axhline(chance, color="grey", linestyle=":", label=f"ln({round(math.exp(chance))})")
    handles = {
        label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    axes.legend(handles.values(), handles.keys())
    axes.set(xlabel="step", ylabel="loss, nats")
    pictures.save(figure, path)


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("data_dir", None, "Folder of class folders.", required=True)
    flags.DEFINE_string("prepared_dir", "", "Folder of its 256x256 copy.")
    flags.DEFINE_list("recipes", ["image_folder", "ilsvrc2012_code2012"], "Files of configs/.")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "A run of each recipe for each.")
    flags.DEFINE_integer("steps", 500, "Of each run.", lower_bound=WINDOW)
    flags.DEFINE_string("out", None, "Folder of the curves.", required=True)


def main(_) -> None:
    """Make the missing runs, the recipes in turns, and sum up."""
    given, out = flags.FLAGS, user_path(flags.FLAGS.out)
    curves, runs = {}, {}
    for seed in map(int, given.seeds):
        for recipe in given.recipes:
            config = config_of(recipe, seed, given.data_dir, given.prepared_dir)
            path = out / f"{recipe}_{seed}.jsonl"
            lines = curves[path.stem] = run(config, path, given.steps)
            left, last = left_at(lines), lines[-1]
            runs[path.stem] = {
                "steps": last["step"],
                "left_at_step": left,
                "last_loss": last["loss"],
            }
    draw(curves, out / "curves.svg")
    chance = next(iter(curves.values()))[0]["chance"]
    result = {"device": jax.devices()[0].platform, "chance": chance, "runs": runs}
    write_atomic(out / "summary.json", json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
