"""Prepare a dataset once: 256x256 squares, mean image and RGB covariance, in TFDS's layout.

    python -m alexnet_jax.data.prepare --config=configs/image_folder.py \
        --config.data.dir=/path/to/folder

The last line on stdout is one JSON object. What is already prepared is opened, not made again; its
directory is prepared_dir/<builder>/<what decides the content>/<version>, and to prepare it again
(after the source has changed) is to delete that directory. A preparation that was stopped, in
whatever way, goes on where it was.

--only=validation prepares that split alone, for evaluations: in a directory of its own, without
statistics, and without a look at the training images, which need not be there.
"""

import json
import time

from absl import flags
from ml_collections import ConfigDict, config_flags

from alexnet_jax.config_fields import Data, check_section
from alexnet_jax.data.prepare.disk import reading
from alexnet_jax.data.prepare.preparation import partial_directory
from alexnet_jax.data.prepare.prepare import prepare, prepared_directory
from alexnet_jax.system import command_line


def main(data: ConfigDict, only: str | None = None) -> None:
    """Prepare what config.data names and print the result as one JSON line.

    Raises:
      DataError: as `prepare`.
    """
    start = time.monotonic()
    check_section(Data(), data, "data")
    directory = prepared_directory(data, only)
    with reading():
        made = not directory.exists() and not partial_directory(directory).exists()
    dataset = prepare(data, only)
    seconds = time.monotonic() - start
    counts = {split: dataset.num_examples(split) for split in dataset.splits}
    images = sum(counts.values()) + len(dataset.skipped)
    result = {
        "dataset": dataset.name,
        "directory": str(dataset.directory),
        **counts,
        "classes": len(dataset.class_names),
        "skipped": len(dataset.skipped),
        # Of a whole preparation only, not of the rest of one.
        "images_per_second": round(images / seconds, 1) if made else None,
        "seconds": round(seconds, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    # Defined only here: alexnet_jax.main imports this module and has a flag of the same name.
    _CONFIG = config_flags.DEFINE_config_file("config", None, "Recipe, a file of configs/.")
    _ONLY = flags.DEFINE_string("only", None, "The one split to prepare: validation, test.")
    flags.mark_flag_as_required("config")
    command_line.run(lambda argv: main(_CONFIG.value.data, _ONLY.value))
