"""Import weights of other programs, export weights for other programs.

    python -m alexnet_jax.weights import FILE --out=DIR [--arch=NAME] [--mean=FILE]
    python -m alexnet_jax.weights export --workdir=DIR --out=FILE.safetensors [--checkpoint=best]

import reads a file of Caffe, NumPy, safetensors or PyTorch, whatever its name (files.py). It makes
a run's folder of it, for `python -m alexnet_jax.evaluate --workdir=DIR --data_dir=IMAGES`. export
writes a file that PyTorch can load (exporting.py). The last line is one JSON object.
"""

import dataclasses
import json
import pathlib

from absl import flags
from ml_collections import config_flags

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import variants
from alexnet_jax.system import command_line, recipes
from alexnet_jax.system.paths import user_path
from alexnet_jax.weights import files
from alexnet_jax.weights.exporting import export_weights
from alexnet_jax.weights.importing import import_weights
from alexnet_jax.weights.mean import read_mean
from alexnet_jax.weights.runs import read_run

_USAGE = "import FILE --out=DIR, or export --workdir=DIR --out=FILE.safetensors"


def define_flags() -> None:
    """Define the flags of both commands."""
    archs = list(variants.ARCHITECTURES)
    flags.DEFINE_string("out", None, "The run's folder, or the file.", required=True)
    flags.DEFINE_enum("arch", None, archs, "import: the net, if the file does not name it.")
    flags.DEFINE_string("mean", None, "import: the net's mean, .binaryproto or .npy.")
    flags.DEFINE_string("workdir", None, "export: folder of the run.")
    flags.DEFINE_string("checkpoint", "best", "export: best, latest, or a step.")
    # An imported run is evaluated with this recipe's settings, except those that the weights set.
    config_flags.DEFINE_config_file("config", recipes.find("ilsvrc2012"), "import: the recipe.")


def main(argv: list[str]) -> None:
    """Import or export, as the first word says."""
    words = argv[1:]
    if words[:1] == ["import"] and len(words) == 2:
        result = _import(user_path(words[1]))
    elif words == ["export"] and flags.FLAGS.workdir:
        result = _export(user_path(flags.FLAGS.workdir))
    else:
        raise ConfigError(f"expected {_USAGE}; got {' '.join(words) or 'neither'}")
    print(json.dumps(result))


def _import(path: pathlib.Path) -> dict:
    weights = files.read(path)
    if flags.FLAGS.mean:
        size = weights.size or flags.FLAGS.config.data.size
        mean = read_mean(user_path(flags.FLAGS.mean), size=size, bgr=weights.bgr)
        weights = dataclasses.replace(weights, mean=mean)
    out = user_path(flags.FLAGS.out)
    config, arch = import_weights(weights, flags.FLAGS.config, out, flags.FLAGS.arch or "")
    return {
        "workdir": str(out),
        "arch": arch.name,
        "classes": arch.classes,
        "parameters": sum(tensor.size for tensor in weights.tensors.values()),
        "mean": config.data.mean,
        "divide_by": list(config.data.divide_by),
        "left_out": list(weights.left_out),
    }


def _export(workdir: pathlib.Path) -> dict:
    weights = read_run(workdir, flags.FLAGS.checkpoint)
    out = user_path(flags.FLAGS.out)
    metadata = export_weights(weights, out)
    return {
        "file": str(out),
        "arch": metadata["arch"],
        "classes": int(metadata["classes"]),
        "parameters": sum(tensor.size for tensor in weights.tensors.values()),
        "step": int(metadata["step"]),
    }


if __name__ == "__main__":
    define_flags()
    command_line.run(main, words=True)
