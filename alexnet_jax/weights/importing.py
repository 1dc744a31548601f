"""Write weights into a run's folder, which evaluate, predict and analysis read like any other."""

import copy
import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.data.input.pixel_stats import OF_A_FILE
from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.errors import ConfigError, WeightsError
from alexnet_jax.net import architecture, resolving, variants
from alexnet_jax.run import dataset_info
from alexnet_jax.run import folder as run_folder
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.config import check, fingerprint
from alexnet_jax.run.dataset_info import DatasetInfo
from alexnet_jax.run.folder import MEAN_FILE
from alexnet_jax.step.create import initial_state
from alexnet_jax.system.atomic_file import atomic_file
from alexnet_jax.weights import layout
from alexnet_jax.weights.container import CENTRE, MEAN_OF, SQUARES, Weights, listed, misfits


def import_weights(
    weights: Weights, recipe: ConfigDict, out: pathlib.Path, name: str = ""
) -> tuple[ConfigDict, architecture.Architecture]:
    """Write a run's folder: config.json, a checkpoint at step 0, mean_image.npy if there is one.

    Args:
      weights: what `files.read` gave.
      recipe: a config; its model and data are changed to those of the weights.
      out: the folder; it appears only when it is complete.
      name: the row of net/variants.py; "": the weights name it.

    Returns:
      The run's config and net.

    Raises:
      WeightsError: the weights do not fit the net or do not name it, or the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WeightsError(f"{out} is there already and not empty: choose another --out")
    config = config_of(weights, recipe, name)
    try:
        check(config)
    except ConfigError as error:
        raise WeightsError(f"the net of {weights.source} cannot be: {error}") from error
    arch = resolving.resolve(config.model)
    if phrases := misfits(weights, arch):
        raise WeightsError(f"{weights.source} is no net of arch {arch.name}: {listed(phrases)}")
    with atomic_file(out, WeightsError) as folder:
        run_folder.write_run(folder, config)
        if weights.mean is not None and config.data.mean in OF_A_FILE:
            np.save(folder / MEAN_FILE, weights.mean)
        dataset_info.write(folder, classes_of(weights, arch))
        params, stats = jax.device_put(layout.from_torch(arch, weights.tensors))
        # Without parameters: jit then draws none.
        none: dict[str, Any] = {"params": {}, "batch_stats": {}}
        rest = jax.jit(lambda: dataclasses.replace(initial_state(config, arch), **none))()
        state = dataclasses.replace(rest, params=params, batch_stats=stats)
        with Checkpoints(folder, fingerprint(config)) as checkpoints:
            checkpoints.save(state)
            checkpoints.wait()
    return config, arch


def config_of(weights: Weights, recipe: ConfigDict, name: str = "") -> ConfigDict:
    """Return the recipe with the model and the mean of the weights.

    Raises:
      WeightsError: the weights do not name their net, or have no mean.
    """
    name = name or _only(weights)
    if weights.mean is None:
        raise WeightsError(
            f"{weights.source} does not say which mean to subtract: give it by --mean"
        )
    config = copy.deepcopy(recipe)
    config.init_from = weights.source
    config.data.divide_by = weights.divide_by
    config.data.size = weights.size or config.data.size
    config.data.update({name: weights.extra[name] for name in SQUARES if name in weights.extra})
    if weights.mean.ndim == 3:
        centre = weights.extra.get(MEAN_OF) == CENTRE
        config.data.mean = "centre_file" if centre else "file"
        config.data.mean_file, config.data.size = MEAN_FILE, len(weights.mean)
    else:
        config.data.mean = "values"
        config.data.mean_values = tuple(float(value) for value in weights.mean)
    if "fc8.bias" in weights.tensors:
        config.model.classes = weights.tensors["fc8.bias"].size
    try:
        config.model.update(weights.model)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        cause = str(error).partition(" Other fields")[0].strip("'\"")
        raise WeightsError(
            f"{weights.source} sets config.model to what it cannot be: {cause}"
        ) from error
    config.model.arch = name
    return config


def classes_of(weights: Weights, arch: architecture.Architecture) -> DatasetInfo:
    """Return the names of the classes: those in the file, or ILSVRC's of another program's net."""
    words = ilsvrc2012_words.words()
    names = tuple(json.loads(weights.extra.get("class_names", "[]")))
    if not (names or weights.extra) and arch.classes == len(words):
        names = tuple(words)
    if len(names) != arch.classes:
        return DatasetInfo()
    return DatasetInfo(names, tuple(ilsvrc2012_words.words_of(name) for name in names))


def _only(weights: Weights) -> str:
    if len(weights.archs) == 1:
        return weights.archs[0]
    which = " or ".join(f"--arch={name}" for name in weights.archs or variants.ARCHITECTURES)
    raise WeightsError(f"{weights.source} does not say which net it is: give {which}")
