"""Weights of other programs in, weights for other programs out.

    python -m alexnet_jax.weights import FILE --out=DIR [--arch=NAME] [--mean=FILE]
    python -m alexnet_jax.weights export --workdir=DIR --out=FILE.safetensors [--checkpoint=best]

import makes a run's folder, for `python -m alexnet_jax.evaluate --workdir=DIR --data_dir=IMAGES`,
of a .caffemodel, .npy, .npz, .safetensors, .pth or .pt file (files.py). export writes what PyTorch
can load (exporting.py). The last line is one JSON object.
"""

import dataclasses
import json
import pathlib

from absl import flags
from ml_collections import config_flags

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architectures
from alexnet_jax.system import command_line, recipes
from alexnet_jax.weights import files
from alexnet_jax.weights.exporting import export_weights
from alexnet_jax.weights.importing import import_weights
from alexnet_jax.weights.mean import read_mean
from alexnet_jax.weights.runs import read_run

_OUT = flags.DEFINE_string("out", None, "Where the result goes.", required=True)
_SPEC = flags.DEFINE_enum(
    "arch", None, list(architectures.ARCHITECTURES), "import: the net, if the file cannot say"
)
_MEAN = flags.DEFINE_string("mean", None, "import: the net's mean, .binaryproto or .npy.")
_WORKDIR = flags.DEFINE_string("workdir", None, "export: folder of the run.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "export: best, latest, or a step.")
# What an imported run is evaluated with, and what the weights do not decide.
_CONFIG = config_flags.DEFINE_config_file(
    "config", recipes.find("ilsvrc2012"), "import: the recipe."
)
_USAGE = "import FILE --out=DIR, or export --workdir=DIR --out=FILE.safetensors"


def main(argv: list[str]) -> None:
    """Import or export, as the first word says."""
    words = argv[1:]
    if words[:1] == ["import"] and len(words) == 2:
        result = _import(pathlib.Path(words[1]).expanduser())
    elif words == ["export"] and _WORKDIR.value:
        result = _export(pathlib.Path(_WORKDIR.value))
    else:
        raise ConfigError(f"expected {_USAGE}; got {' '.join(words) or 'neither'}")
    print(json.dumps(result))


def _import(path: pathlib.Path) -> dict:
    weights = files.read(path)
    if _MEAN.value:
        mean = read_mean(pathlib.Path(_MEAN.value).expanduser(), bgr=weights.bgr)
        weights = dataclasses.replace(weights, mean=mean)
    out = pathlib.Path(_OUT.value)
    config, arch = import_weights(weights, _CONFIG.value, out, _SPEC.value or "")
    return {
        "workdir": str(out),
        "arch": arch.name,
        "classes": arch.classes,
        "parameters": sum(tensor.size for tensor in weights.tensors.values()),
        "mean": config.data.mean,
        "divide_by": list(config.data.divide_by),
    }


def _export(workdir: pathlib.Path) -> dict:
    which = _CHECKPOINT.value
    if which not in ("best", "latest") and not which.isdigit():
        raise ConfigError(f"--checkpoint is best, latest or a step; got {which!r}")
    weights = read_run(workdir, which)
    out = pathlib.Path(_OUT.value)
    said = export_weights(weights, out)
    return {
        "file": str(out),
        "arch": said["arch"],
        "classes": int(said["classes"]),
        "parameters": sum(tensor.size for tensor in weights.tensors.values()),
        "step": int(said["step"]),
    }


if __name__ == "__main__":
    command_line.run(main, words=True)
