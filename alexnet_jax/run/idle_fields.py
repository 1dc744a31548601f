"""Fields of a config that nothing looks at, the other fields being what they are."""

import dataclasses
from collections.abc import Iterable

from ml_collections import ConfigDict

from alexnet_jax.net import resolving
from alexnet_jax.run.config import check, flattened

# Fields, or the beginning of their names; the field that decides; its values that look at them.
_LOOKED_AT: tuple[tuple[tuple[str, ...], str, tuple], ...] = (
    (("schedule.factor",), "schedule.kind", ("plateau", "epochs")),
    (
        ("schedule.drops", "schedule.patience", "schedule.min_improvement"),
        *("schedule.kind", ("plateau",)),
    ),
    (("schedule.epochs",), "schedule.kind", ("epochs",)),
    (("schedule.dexp_",), "schedule.kind", ("dexp",)),
    # Of the images' other fields each is looked at later, where a run is shown images of a folder.
    (("data.dir",), "data.builder", ("ilsvrc", "image_folder")),
    (("data.mean_values",), "data.mean", ("values",)),
    (("data.mean_file",), "data.mean", ("file", "centre_file")),
    (("data.crop_form",), "data.crop", (True,)),
    (("data.colour_",), "data.colour", (True,)),
    (("model.lrn.",), "model.norm", ("lrn",)),
    (
        tuple(f"model.lrn.{name}" for name in ("n", "k", "alpha", "beta", "scope")),
        *("model.lrn.enabled", (True,)),
    ),
    (
        tuple(f"model.spatial_norm.{name}" for name in ("n", "k", "alpha", "beta")),
        *("model.spatial_norm.enabled", (True,)),
    ),
    (("model.cross_columns",), "model.columns", (2,)),
    (("model.init.std.", "model.init.bias."), "model.init.form", ("normal",)),
)


def idle(config: ConfigDict, given: Iterable[str]) -> list[str]:
    """Return a line for each of the fields `given` that nothing looks at.

    A flag that changes nothing leaves its run what it was: an ablation that compares two such runs
    compares seeds.

    Args:
      config: the run's.
      given: names of the fields that a command line sets, as schedule.patience.

    Raises:
      ConfigError: no run can have this config.
    """
    check(config)
    arch = ConfigDict({"model": dataclasses.asdict(resolving.resolve(config.model))})
    values = flattened(config) | flattened(arch)
    found: dict[str, str] = {}
    for name in given:
        for fields, decides, looking in _LOOKED_AT:
            if name.startswith(fields) and values[decides] not in looking:
                here = f"{decides} is {' or '.join(map(str, looking))}, not {values[decides]}"
                found[name] = f"{name}={values[name]} changes nothing: it counts where {here}"
    return list(found.values())
