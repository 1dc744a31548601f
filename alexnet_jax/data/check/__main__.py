"""Prove that a prepared copy is complete and undamaged, and that it holds what it should.

    python -m alexnet_jax.data.check --config=configs/ilsvrc2012.py \
        --config.data.dir=/path/to/imagenet

It compares the counts and the order of the labels with those of the release (--subset: the source
is only a part of it), every file with its SHA-256, and the stored statistics with those computed
from the records. It lists the images with issues and what was done about them, and the images that
train shares with another split.

It prints a table, then one JSON object as the last line. The exit code is 1 if something is wrong.
"""

import json
import sys

from absl import flags

from alexnet_jax.data.check.check import check
from alexnet_jax.errors import DataError
from alexnet_jax.system import command_line
from alexnet_jax.system.lines import say


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_bool("subset", False, "The source is only a part of the release.")


def main(_) -> None:
    """Check the copy that the flags name; exit with 1 if something is wrong."""
    try:
        result = check(flags.FLAGS.config.data, flags.FLAGS.subset)
    except DataError as error:
        say(f"error: {error}")
        result = {"ok": False, "problems": [str(error)]}
    print(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
