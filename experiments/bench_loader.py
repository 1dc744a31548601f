"""How fast prepared images are read and decoded, without a net.

    python experiments/bench_loader.py --config=configs/image_folder.py \
        --config.data.dir=/path/to/folder --workers=1,2,4

Prepares the images where they are not yet. Last line: one JSON object, images/s by threads.
"""

import json
import os
import time

from absl import app, flags
from ml_collections import config_flags

from alexnet_jax.data.loader import train_batches
from alexnet_jax.data.prepare import prepare

_CONFIG = config_flags.DEFINE_config_file("config", None, "The recipe, a file of configs/.")
_WORKERS = flags.DEFINE_list("workers", ["1", "2"], "Numbers of threads.")
_SECONDS = flags.DEFINE_float("seconds", 10.0, "Of each measurement.")


def images_per_second(dataset, batch_size: int, workers: int) -> float:
    """Return the rate over some seconds, after a warm start."""
    batches = train_batches(
        dataset, batch_size=batch_size, seed=0, start_step=0, steps=10**9, workers=workers
    )
    for _ in range(workers + 1):  # what was read ahead costs nothing
        next(batches)
    done, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < _SECONDS.value:
        done += len(next(batches)["label"])
    return done / took


def main(_) -> None:
    """Measure each number of threads in turn."""
    config = _CONFIG.value
    dataset = prepare(config.data)
    rates = {
        workers: round(images_per_second(dataset, config.batch_size, int(workers)))
        for workers in _WORKERS.value
    }
    files = [path for path in dataset.directory.iterdir() if path.is_file()]
    result = {
        "storage": config.data.storage,
        "images": dataset.num_examples("train"),
        "bytes_per_image": round(
            sum(path.stat().st_size for path in files if "-train." in path.name)
            / dataset.num_examples("train")
        ),
        "batch": config.batch_size,
        "images_per_second": rates,
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
