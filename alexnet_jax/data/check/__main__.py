"""Prove that a prepared dataset is whole and is what it says: `python -m alexnet_jax.data.check`.

    python -m alexnet_jax.data.check --config=configs/ilsvrc2012.py \
        --config.data.dir=/path/to/imagenet

Compares counts and label order with what is known of the release (--subset: the source is only a
part of it), every file with its SHA-256 and every record with what it should be; lists what was
odd in the source and what was done with it, and images that train and another split share.

A table, then one JSON object as the last line. Exit code 1 when something is wrong.
"""

import json
import sys

from absl import flags
from ml_collections import ConfigDict, config_flags

from alexnet_jax.data.check.check import check
from alexnet_jax.errors import DataError
from alexnet_jax.system import command_line


def main(data: ConfigDict, subset: bool) -> None:
    """Check and print; exit with 1 when something is wrong."""
    try:
        result = check(data, subset)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        result = {"ok": False, "problems": [str(error)]}
    print(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    # Defined only here: alexnet_jax.main has a flag of the same name.
    _CONFIG = config_flags.DEFINE_config_file("config", None, "Recipe, a file of configs/.")
    _SUBSET = flags.DEFINE_bool("subset", False, "The source is only a part of the release.")
    flags.mark_flag_as_required("config")
    command_line.run(lambda argv: main(_CONFIG.value.data, _SUBSET.value))
