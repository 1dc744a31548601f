"""Values to try for a recipe that is not known to start, each tried at its first step."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from alexnet_jax.doctor.examine import examine, judge
from alexnet_jax.net import resolving
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.parameters import params_of, structure_of

HOPELESS = ("does not start", "not known to start")  # verdicts of `judge`
PIXELS = 60.0  # the usual deviation of pixels of 0-255


def remedy(config: ConfigDict) -> tuple[dict[str, Any], str] | None:
    """Return the first values with which the recipe starts, and what is then expected of it.

    Args:
      config: a recipe whose verdict is one of HOPELESS; its images are prepared.

    Returns:
      Names of fields and their values, and the verdict with its reason; of values with which it
      starts late where none does better; None: nothing that was tried helps.
    """
    late = None
    for values in _candidates(config):
        changed = copy.deepcopy(config)
        changed.update_from_flattened_dict(values)
        verdict, reason = judge(*examine(changed))
        if verdict == "starts":
            return values, f"{verdict}: {reason}"
        if verdict not in HOPELESS:
            late = late or (values, f"{verdict}: {reason}")
    return late


def _candidates(config: ConfigDict) -> Iterator[dict[str, Any]]:
    """Yield values that differ from the recipe's: undivided pixels, then other initial weights.

    With weights of N(0, 2 / inputs) a layer of ReLUs hands the signal on in its size (He, Zhang,
    Ren and Sun, ICCV 2015); the first layer brings pixels to it. Halfway there is often enough.
    """
    if tuple(config.data.divide_by) != (1.0, 1.0, 1.0):
        yield {"data.divide_by": (1.0, 1.0, 1.0)}
    arch = resolving.resolve(config.model, None if config.model.classes else 2)
    form = {} if arch.init.form == "normal" else {"model.init.form": "normal"}
    now = {name: getattr(arch.init.std, name) for name in (layer.name for layer in arch.layers)}
    he = _he(arch, PIXELS / float(np.mean(config.data.divide_by)))
    larger = {name: value for name, value in he.items() if form or value > now[name]}
    half = {name: math.sqrt(now[name] * value) for name, value in larger.items()}
    for values in (half, larger, he):
        if any(values.values()):
            of_std = {f"model.init.std.{k}": float(f"{v:.2g}") for k, v in values.items() if v}
            yield {**form, **of_std}


def _he(arch: Architecture, pixels: float) -> dict[str, float]:
    """Return the deviations of He et al. for pixels of this size; fc8 has no ReLU."""
    found = {}
    for name, parameters in params_of(structure_of(arch)).items():
        if "kernel" in parameters and name != "fc8":  # the others are norms
            inputs = math.prod(parameters["kernel"].shape[1:-1])
            found[name] = math.sqrt(2 / inputs) / (max(pixels, 1.0) if name == "conv1" else 1.0)
    return found
