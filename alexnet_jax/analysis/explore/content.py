"""What the page shows, as JSON: the net, its steps and kernels, and its activations on pictures."""

import base64
import dataclasses
import importlib.resources
import io
import itertools
import json
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from alexnet_jax.analysis.explore import column_energy, kernels
from alexnet_jax.analysis.explore.activations import VIEWS, Seen
from alexnet_jax.analysis.explore.packing import pack
from alexnet_jax.data.input import ten_crops
from alexnet_jax.inference.predictor import best
from alexnet_jax.net.architecture import Architecture, Layer
from alexnet_jax.net.listing import operations, rows
from alexnet_jax.run.restore import Restored

TOP = 5  # classes
QUALITY = 88  # of the JPEG that stands for a picture


def net(restored: Restored) -> dict[str, Any]:
    """Return all that is the same for every picture."""
    arch, params = restored.arch, restored.state.params
    listed = rows(arch)
    values = {
        row.layer.name: np.asarray(params[row.layer.name]["kernel"])
        for row in listed
        if not row.layer.identity
    }
    lrn = dataclasses.asdict(arch.lrn)
    lrn["alpha"] /= lrn["n"] if lrn["alpha_over_n"] else 1
    return {
        "name": arch.name,
        "columns": arch.columns,
        "size": arch.image_size,
        "step": int(restored.state.step),
        "run": restored.workdir.resolve().name,
        "activation": arch.activation,
        "lrn": lrn,
        "dropout": dataclasses.asdict(arch.dropout),
        "layers": [
            {
                "name": row.layer.name,
                "operations": operations(arch, row.layer),
                "product": row.product,
                "reads": row.layer.reads,
                "parameters": row.parameters,
                "received": row.received,
                "bytes": row.received_bytes,
            }
            for row in listed
            if row.layer.then or not row.layer.identity
        ],
        "classes": restored.words,
        "steps": steps(arch),
        "words": words(),
        "kernels": {
            row.layer.name: kernels.shown(
                arch, row.layer, values[row.layer.name], before.output[-1]
            )
            for before, row in itertools.pairwise([listed[0], *listed[:-1]])
            if not row.layer.identity
        },
        "crossing": {
            layer.name: pack(column_energy.shares(values[layer.name], arch.columns))
            for layer in column_energy.crossing_layers(arch)
        },
        "views": ten_crops.view_corners(VIEWS, arch.image_size, restored.config.data.size),
    }


def words() -> dict[str, dict[str, str]]:
    """Return the text beside each kind of step.

    en, ko: the paper's idea in two sentences; flag: what takes it away, or ""; cost_en, cost_ko:
    what the paper reports without it, or ""; ours: the change of the top-1 error without it, in
    points with its 95 % interval (experiments/records/ablations).
    """
    file = importlib.resources.files(__package__).joinpath("words.json")
    return json.loads(file.read_text(encoding="utf-8"))


def steps(arch: Architecture) -> list[dict[str, Any]]:
    """Return the steps through a net in order: the image, each activation, the answer.

    name: of the activation; kind: what it does; words: the key of its `words`; input:
    the activation that it is made of; stored: whether a picture holds its values. The page makes
    the others: ReLU and the maximum commute with rounding, so they are those of the net.
    """
    made: list[dict[str, Any]] = [{"name": "image", "kind": "image", "layer": "", "stored": False}]
    for layer in arch.layers:
        if not layer.identity:
            kind = "conv" if layer.kernel else "full"
            kind = "sum" if layer.reads == "sum" else kind
            kind += "_crosses" if arch.crosses(layer) else ""
            made.append(_step(layer, layer.name, kind, made[-1]["name"]))
        for op in layer.then:
            step = _step(layer, arch.activation_name(layer, op), op, made[-1]["name"])
            if op == "activation":
                step["stored"] = arch.activation != "relu"
            if op == "norm" and (arch.norm != "lrn" or not arch.lrn.enabled):
                step["kind"] = "other_norm"
            if op == "pool":
                step["pool"] = dataclasses.asdict(arch.pool_of(layer))
                step["stored"] = arch.pool_of(layer).kind != "max"
            made.append(step)
    made.append({"name": "ten views", "kind": "views", "layer": "", "stored": False})
    return [{**step, "words": _words(arch, step)} for step in made]


def _words(arch: Architecture, step: dict[str, Any]) -> str:
    """Return the key of a step's words: what it does, and whether it is the paper's idea here."""
    kind = step["kind"]
    if kind == "activation" and arch.activation != "relu":
        return "other_activation"
    if step["layer"] == arch.layers[0].name and kind == "conv":
        return "conv_image"
    return f"{kind}_one" if arch.columns == 1 and kind in ("conv", "sum") else kind


def _step(layer: Layer, name: str, kind: str, before: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "layer": layer.name, "input": before, "stored": True}


def picture(
    restored: Restored, path: pathlib.Path, pixels: np.ndarray, seen: Seen
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what the page shows of a picture, and its stored activations by name, packed.

    Args:
      path: the picture's file.
      pixels: (size, size, 3) uint8, the square that the net's views are cut from.
      seen: what the net makes of it.
    """
    arch = restored.arch
    names = restored.words
    stored = {
        step["name"]: pack(np.moveaxis(seen.activations[step["name"]], -1, 1))
        for step in steps(arch)
        if step["stored"]
    }
    answer = answers(seen.probabilities, names)
    logits = seen.activations[arch.layers[-1].name][0]
    labels = best(logits, TOP)
    params = restored.state.params
    return {
        "file": path.name,
        "jpeg": jpeg(pixels),
        "answer": {**answer, "central": [names[k] for k in labels]},
        "crossing": {
            layer.name: pack(column_energy.of_picture(arch, layer, params, seen.activations))
            for layer in column_energy.crossing_layers(arch)
        },
        "sum": column_energy.summed(arch, params, seen.activations, labels),
    }, stored


def answers(probabilities: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what the views say, alone and averaged.

    Args:
      probabilities: (views, classes).
      names: of the classes.

    Returns:
      top: the best classes by the mean; best: each view's best class; without: for each view, the
      label of the best class when this view is left out of the mean.
    """
    values = probabilities.astype(np.float64)
    mean = values.mean(axis=0)
    return {
        "top": [
            {"label": k, "class": names[k], "mean": float(mean[k]), "views": values[:, k].tolist()}
            for k in best(mean, TOP)
        ],
        "best": [
            {"label": k, "class": names[k], "probability": float(view[k])}
            for view in values
            for k in best(view, 1)
        ],
        "without": [best(values.sum(axis=0) - view, 1)[0] for view in values],
    }


def jpeg(pixels: np.ndarray) -> str:
    """Return (H, W, 3) uint8 as the base64 of a JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()
