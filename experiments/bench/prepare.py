"""Preparation from ILSVRC's archives beside a bare loop that decodes, resizes and encodes.

    python -m experiments.bench.prepare --photos=/path/to/folder --workers=2 --rounds=3

The folder holds train/<wnid>/<file>. In a temporary folder the photographs are packed into a tar of
tars, 50 to a class whatever they show, and some of them into a validation archive with a
development kit. Then in turns:

    bare         our read_square and encode_jpeg on as many threads; the result is thrown away
    plain        Pillow's convert, resize of the whole picture, crop; simplejpeg
    preparation  all of it: reading the archives, statistics, records, checksums, syncing

Gives images/s of wall-clock time, and milliseconds of CPU time an image, which depend less on other
programs. The last line is one JSON object.
"""

import concurrent.futures
import functools
import io
import json
import os
import pathlib
import statistics
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable

import numpy as np
import scipy.io
from absl import flags
from PIL import Image

from alexnet_jax.data.decode.images import encode_jpeg, read_square
from alexnet_jax.data.decode.resize import PAPER
from alexnet_jax.data.prepare.convert import CHUNK
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.system import command_line
from alexnet_jax.system.cores import cores
from alexnet_jax.system.paths import user_path
from configs import ilsvrc2012


def pack(photos: list[pathlib.Path], folder: pathlib.Path, validation: int) -> None:
    """Write ILSVRC-2012's three archives of the photographs."""
    size = 50  # images of a class; ILSVRC has 1,300, and opening an archive takes time too
    wnids = sorted({path.parent.name for path in photos})[: -(-len(photos) // size)]
    label = {path: k // size for k, path in enumerate(photos)}
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for k, wnid in enumerate(wnids):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as archive:
                for path in (p for p in photos if label[p] == k):
                    archive.add(path, path.name)
            _add(outer, f"{wnid}.tar", inner.getvalue())
    chosen = photos[:: max(1, len(photos) // validation)][:validation]
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as archive:
        for number, path in enumerate(chosen, 1):
            archive.add(path, f"ILSVRC2012_val_{number:08d}.JPEG")
    synsets = np.empty((len(wnids), 1), [(f, object) for f in ("ILSVRC2012_ID", "WNID", "words")])
    for k, wnid in enumerate(wnids):
        synsets[k, 0] = (k + 1, wnid, wnid)
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    truth = "".join(f"{label[path] + 1}\n" for path in chosen)
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as kit:
        _add(kit, "kit/data/meta.mat", meta.getvalue())
        _add(kit, "kit/data/ILSVRC2012_validation_ground_truth.txt", truth.encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def bare(path: pathlib.Path) -> None:
    """Make the stored form of one photograph."""
    encode_jpeg(read_square(path.read_bytes(), path.name).pixels)


def plain(path: pathlib.Path) -> None:
    """Do the same in the most obvious way."""
    image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    size = PAPER.size
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BOX)
    left, top = (width - size) // 2, (height - size) // 2
    encode_jpeg(np.asarray(image.crop((left, top, left + size, top + size))))


def in_threads(
    work: Callable[[pathlib.Path], None], photos: list[pathlib.Path], workers: int
) -> None:
    """Do the work on each photograph, in chunks as large as the preparation's."""

    def chunk(start: int) -> None:
        for path in photos[start : start + CHUNK]:
            work(path)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(chunk, range(0, len(photos), CHUNK)))


def measured(call: Callable[[], object], images: int) -> dict[str, float]:
    """Return the rate, the CPU time, and the peak memory in each half of the time."""
    sizes: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            with open("/proc/self/statm") as file:
                sizes.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    done.set()
    watcher.join()
    half = len(sizes) // 2
    return {
        "images_per_second": images / seconds,
        "cpu_ms": 1e3 * cpu / images,
        "mb_first_half": max(sizes[:half], default=0) / 1e6,
        "mb_second_half": max(sizes[half:], default=0) / 1e6,
    }


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("photos", None, "Folder with train/<wnid>/<file>.", required=True)
    flags.DEFINE_integer("workers", cores(), "Threads.")
    flags.DEFINE_integer("rounds", 3, "Measurements of each.")
    flags.DEFINE_integer("validation", 100, "Photographs that are validation images too.")


def main(_) -> None:
    """Measure the three in turns."""
    workers, validation = flags.FLAGS.workers, flags.FLAGS.validation
    photos = sorted(user_path(flags.FLAGS.photos).glob("train/*/*"))
    rounds: dict[str, list[dict[str, float]]] = {"bare": [], "plain": [], "preparation": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        pack(photos, folder, validation)
        images = len(photos) + validation
        for number in range(flags.FLAGS.rounds):
            data = ilsvrc2012.get_config().data
            data.dir, data.workers = temporary, workers
            data.prepared_dir = str(folder / f"prepared{number}")
            for name, work in (("bare", bare), ("plain", plain)):
                call = functools.partial(in_threads, work, photos, workers)
                rounds[name].append(measured(call, len(photos)))
            rounds["preparation"].append(measured(functools.partial(prepare, data), images))
    result = {
        name: {key: round(statistics.median(r[key] for r in each), 2) for key in each[0]}
        for name, each in rounds.items()
    }
    ratios = {
        f"{key} against {name}": round(result["preparation"][key] / result[name][key], 3)
        for key in ("images_per_second", "cpu_ms")
        for name in ("bare", "plain")
    }
    print(json.dumps({"images": images, "workers": workers, **result, **ratios}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
