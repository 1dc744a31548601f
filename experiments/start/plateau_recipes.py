"""The recipes of plateau_map.py: the choices, and the config fields that each of them sets."""

import dataclasses
import itertools
from collections.abc import Sequence

from ml_collections import ConfigDict

from alexnet_jax.net import architecture, resolving
from experiments.sweeps.runs import Setting

Overrides = tuple[tuple[str, str], ...]  # (field, value as on the command line)
Factor = dict[str, Overrides]  # name of a choice -> its fields

# Standard deviations of pixels of ILSVRC: those PyTorch's models use, times 255.
NORMALIZED = "(58.4,57.1,57.4)"
INPUT: Factor = {
    "pixels 0-255": (("data.divide_by", "(1.0,1.0,1.0)"),),
    "pixels of deviation 1": (("data.divide_by", NORMALIZED),),
}
NORM: Factor = {
    "LRN, paper": (),
    "LRN, Caffe": (("model.lrn.k", "1.0"), ("model.lrn.alpha_over_n", "True")),
    "no norm": (("model.norm", "none"),),
}
FACTORS = (1.0, 0.7, 0.5, 0.35, 0.25)
WINDOWS, CONSTANTS = (
    (1, 3, 5, 11),
    (0, 1, 2),
)  # paper 3.3: n = 10 reaches 5 channels either side: 11


@dataclasses.dataclass(frozen=True)
class Map:
    """Every combination of some factors; those in `rows` are drawn one below the other."""

    rows: tuple[Factor, ...]
    columns: tuple[Factor, ...]

    def row_names(self) -> list[str]:
        """Return the name of each row, from the top."""
        return [_name(names) for names in itertools.product(*self.rows)]

    def column_names(self) -> list[str]:
        """Return the name of each column, from the left."""
        return [_name(names) for names in itertools.product(*self.columns)]

    def settings(self) -> list[Setting]:
        """Return a setting for each cell, row by row, named "row; column", or "row"."""
        factors = (*self.rows, *self.columns)
        settings = []
        for names in itertools.product(*factors):
            chosen = [factor[name] for factor, name in zip(factors, names, strict=True)]
            settings.append(Setting(_name(names), tuple(itertools.chain(*chosen))))
        return settings


def _name(names: Sequence[str]) -> str:
    return "; ".join(names)


def map_of(name: str, config: ConfigDict) -> Map:
    """Return a map for the net of a config.

    Args:
      name: one of MAPS.
      config: its width scales the deviations, so that the signal is the full net's.
    """
    return MAPS[name](resolving.resolve(config.model))


def _start(arch: architecture.Architecture) -> Map:
    """Return initial values by input and normalization."""
    layers = [layer.name for layer in arch.layers]
    deviations: Factor = {
        "deviation 0.01": _deviations(arch, dict.fromkeys(layers, 0.01)),
        "0.03 in conv3-5": _deviations(
            arch,
            {name: 0.03 if name in ("conv3", "conv4", "conv5") else 0.01 for name in layers},
        ),
    }
    # The layers whose biases the paper sets to 1 (section 5).
    raised = [name for name in layers if getattr(architecture.Init().bias, name)]
    biases: Factor = {
        f"bias {value}": tuple((f"model.init.bias.{name}", value) for name in raised)
        for value in ("0.0", "0.1", "1.0")
    }
    return Map((deviations, biases), (INPUT, NORM))


def _deviations(arch: architecture.Architecture, wanted: dict[str, float]) -> Overrides:
    """Return deviations with which a net of this width has the signal of the full net.

    A layer with fewer inputs adds up fewer products: its weights must be larger by the square root
    of the ratio. conv1 reads three colours in every net.

    Args:
      arch: the net.
      wanted: layer -> the full net's deviation.
    """
    larger = arch.width**-0.5
    std = {name: one if name == "conv1" else one * larger for name, one in wanted.items()}
    return tuple((f"model.init.std.{name}", repr(one)) for name, one in std.items())


def _norm(arch: architecture.Architecture) -> Map:
    """Return normalizations by input, with the paper's initial values."""
    init = _deviations(arch, {layer.name: 0.01 for layer in arch.layers})
    norms: Factor = {
        f"LRN n = {n}, k = {k}": (("model.lrn.n", str(n)), ("model.lrn.k", f"{k}.0"))
        for n in WINDOWS
        for k in CONSTANTS
    }
    norms["batch norm"] = (("model.norm", "batch"),)
    norms["no norm"] = (("model.norm", "none"),)
    return Map(({name: (*init, *fields) for name, fields in norms.items()},), (INPUT,))


def _weaker(arch: architecture.Architecture) -> Map:
    """Return the net's own initial deviations, all times a factor: the signal gets weaker."""
    std = {layer.name: getattr(arch.init.std, layer.name) for layer in arch.layers}
    factors: Factor = {
        f"deviations x {factor}": tuple(
            (f"model.init.std.{name}", repr(factor * one)) for name, one in std.items()
        )
        for factor in FACTORS
    }
    return Map((factors,), ())


MAPS = {"start": _start, "norm": _norm, "weaker": _weaker}
