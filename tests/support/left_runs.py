"""Folders as runs and the analysis commands leave them, made by hand: no net is trained."""

import base64
import io
import json
import math
import pathlib

import numpy as np
from PIL import Image

from tests.support import narrow_recipe

# What a class, a file or a folder may be called.
HOSTILE = '<script>alert("x")</script>\'&amp;"><img src=x onerror=alert(1)> \u202eabc \udcff \x00'


def line(step: int, split: str = "train", **changes) -> dict:
    """Return a line of metrics.jsonl of a run with ten steps an epoch."""
    return {
        "step": step,
        "epoch": step / 10,
        "split": split,
        "learning_rate": 0.01,
        "loss": 2.0 + 1.0 / step,
        "top1_error": 0.5 + 1 / (4 * step),
        "top5_error": 0.25,
        "images_per_second": 64.0,
        **changes,
    }


def lines(epochs: int, every: int = 5) -> list[dict]:
    """Return the lines of some epochs; the rate drops after the second, as its validation says."""
    found = []
    for step in range(every, 10 * epochs + 1, every):
        rate = 0.01 if step <= 20 else 0.001
        found.append(line(step, learning_rate=rate))
        if step % 10 == 0:
            found.append(
                line(
                    step,
                    "val",
                    learning_rate=rate,
                    images=100,
                    loss=2.5 - step / 100,
                    conv1_colour=[0.6 - step / 100, 0.65],
                )
            )
    return found


def write(workdir: pathlib.Path, records: list[dict], more: str = "", **changes) -> pathlib.Path:
    """Write a run's folder: config, environment, metrics, the filters' picture."""
    workdir.mkdir(parents=True)
    config = narrow_recipe.get_config()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    (workdir / "config.json").write_text(json.dumps(config.to_dict()))
    environment = {"python": "3.11.7", "devices": ["cpu:cpu"] * 2, "command": ["main.py", HOSTILE]}
    (workdir / "environment.json").write_text(json.dumps(environment))
    text = "".join(json.dumps(record) + "\n" for record in records)
    (workdir / "metrics.jsonl").write_text(text + more)
    pixels = np.random.default_rng(0).integers(0, 256, (25, 193, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(workdir / "conv1.png")
    return workdir


def thumbnail(colour: int) -> str:
    """Return a JPEG in base64."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (colour, 90, 200 - colour)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def findings() -> dict[str, dict]:
    """Return what the analysis commands write, by the file's name."""
    names = [HOSTILE, "bee", "cow", "dog", "eel"]
    images = [
        {"file": f"{n}/{HOSTILE}", "label": n, "jpeg": thumbnail(40 * k)}
        for k, n in enumerate(names)
    ]
    top = [{"class": name, "probability": 0.5 / (k + 1)} for k, name in enumerate(names)]
    near = [{**image, "distance": 10.5 + k} for k, image in enumerate([*images, images[0]])]
    return {
        "predictions": {
            "step": 30,
            "views": 1,
            "images": [{**image, "top": top} for image in images],
        },
        "neighbours": {
            "step": 30,
            "layer": "fc7",
            "searched": 1000,
            "images": [{**image, "neighbours": near} for image in images],
        },
        "colour": {
            "step": 30,
            "columns": [0.125, 0.75],
            "difference": 0.625,
            "difference_by_chance": 0.125,
            "per_filter": [[0.1, 0.2, 0.1], [0.7, 0.8, 0.9]],
            "over_steps": [
                {"step": 0, "columns": [0.6, 0.7]},
                {"step": 30, "columns": [0.125, 0.75]},
            ],
        },
        "classes": {
            "step": 30,
            "views": 1,
            "classes": [
                {"class": name, "images": 10, "top1_error": k / 10, "top5_error": k / 20}
                for k, name in enumerate(names * 5)
            ]
            + [{"class": "yak", "images": 0, "top1_error": None, "top5_error": None}],
            "confusions": [{"class": names[0], "taken_for": "bee", "images": 4}],
        },
    }


def write_findings(workdir: pathlib.Path, content: dict[str, dict]) -> None:
    """Write them into a run's folder."""
    (workdir / "analysis").mkdir(exist_ok=True)
    for name, found in content.items():
        (workdir / "analysis" / f"{name}.json").write_text(json.dumps(found))


def ilsvrc(train: int, validation: int) -> list[dict]:
    """Return the last lines of a run of that many images, in batches of 128."""
    step = math.ceil(90 * train / 128)
    last = {"epoch": round(step * 128 / train, 4), "images": validation}
    return [line(step - 1, epoch=89.9), line(step, "val", **last, top1_error=0.42, top5_error=0.2)]
