"""Prepare a dataset once: squares, mean image and RGB covariance, as TFDS stores them.

    python -m alexnet_jax.data.prepare --config=configs/image_folder.py \
        --config.data.dir=/path/to/folder

The last line on stdout is one JSON object. The copy is written to
<prepared_dir>/<builder>/<what decides the content>/<version>. A copy that exists is opened, not
made again: delete its directory after the source has changed. The same command continues a
preparation that was stopped.

--only=validation prepares only that split, for evaluations: in a directory of its own, without
statistics. The training images are not read and may be missing.
"""

import json
import time

from absl import flags
from ml_collections import ConfigDict

from alexnet_jax.config_fields import Data, check_section
from alexnet_jax.data.prepare.disk import reading
from alexnet_jax.data.prepare.preparation import partial_directory
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.system import command_line


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag()
    flags.DEFINE_string("only", None, "The one split to prepare: validation, test.")


def report(config: ConfigDict, only: str | None = None) -> None:
    """Prepare what config.data names, and print the result as one JSON line.

    Raises:
      DataError: as `prepare`.
    """
    data = config.data

    def warn(class_names: tuple[str, ...], counts: dict[str, int]) -> str:
        try:
            if "model" in config and "train" in counts:
                resolving.resolve(config.model, len(class_names))
        except ConfigError as error:
            return f"warning: training will be refused: {error}"
        return ""

    start = time.monotonic()
    check_section(Data(), data, "data")
    directory = prepared_directory(data, only)
    with reading():
        new = not directory.exists() and not partial_directory(directory).exists()
    dataset = prepare(data, only, warn)
    seconds = time.monotonic() - start
    counts = {split: dataset.num_examples(split) for split in dataset.splits}
    images = sum(counts.values()) + len(dataset.skipped)
    result = {
        "dataset": dataset.name,
        "directory": str(dataset.directory),
        **counts,
        "classes": len(dataset.class_names),
        "skipped": len(dataset.skipped),
        # Known only where the whole copy was made just now.
        "images_per_second": round(images / seconds, 1) if new else None,
        "seconds": round(seconds, 2),
    }
    print(json.dumps(result))


def main(_) -> None:
    """Prepare what the flags describe."""
    report(flags.FLAGS.config, flags.FLAGS.only)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
