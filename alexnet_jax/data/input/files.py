"""Image files that a user names, read to squares by threads, in their order, and batched."""

import collections
import concurrent.futures
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from alexnet_jax.data.decode.images import SIZE, BadImageError
from alexnet_jax.data.decode.resize import PAPER, Resize
from alexnet_jax.data.sources.folders import files_split, images
from alexnet_jax.errors import DataError
from alexnet_jax.system.cores import cores

UNKNOWN = -1  # label of an image without one
Read = tuple[pathlib.Path, np.ndarray | BadImageError]
Batch = dict[str, np.ndarray]
_AHEAD = 16  # files a thread: read or waiting, so that memory does not grow with their number


def image_files(words: Sequence[str]) -> list[pathlib.Path]:
    """Return the files that are named, and of folders all images below them, sorted.

    What is not there is a file that cannot be read: `squares` says so, and the others go on.

    Raises:
      DataError: a folder without an image.
    """
    found = []
    for word in words:
        path = pathlib.Path(word).expanduser()
        if path.is_dir():
            names = images(path, ".", may_be_empty=True)
            if not names:
                raise DataError(f"{path} holds no image, by the endings of its files")
            found += [path / name for name in names]
        else:
            found.append(path)
    return found


def squares(
    paths: Sequence[pathlib.Path], resize: Resize = PAPER, workers: int = 0
) -> Iterator[Read]:
    """Yield each file with its (256, 256, 3) uint8 RGB square, or with why it has none.

    Args:
      paths: of the files, read only a little ahead of what is asked for.
      resize: how a picture becomes a square.
      workers: threads; 0: one for each core.
    """
    split = files_split(pathlib.Path(), [(str(path), 0) for path in paths])

    def read(index: int) -> np.ndarray | BadImageError:
        try:
            return split.item(index).load(resize).pixels
        except BadImageError as error:
            return error

    threads = workers or cores()
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads, "read") as pool:
        try:
            for index in range(len(paths)):
                waiting.append(pool.submit(read, index))
                if len(waiting) >= _AHEAD * threads:
                    yield paths[index + 1 - len(waiting)], waiting.popleft().result()
            while waiting:
                yield paths[len(paths) - len(waiting)], waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batches(
    read: Iterable[Read], batch_size: int, bad: Callable[[BadImageError], None]
) -> Iterator[Batch]:
    """Iterate over image files as loader.eval_batches does over a split.

    Args:
      read: what `squares` gives.
      batch_size: images in a batch; the last one is filled up with black ones.
      bad: is told of each file that cannot be read; it is left out.

    Yields:
      image (b, 256, 256, 3) uint8 RGB, label (b,) int32 UNKNOWN, mask (b,) float32, 1 an image, and
      file (b,) str.
    """
    waiting: list[tuple[str, np.ndarray]] = []
    for path, found in read:
        if isinstance(found, BadImageError):
            bad(found)
            continue
        waiting.append((str(path), found))
        if len(waiting) == batch_size:
            yield _batch(waiting, batch_size)
            waiting = []
    if waiting:
        yield _batch(waiting, batch_size)


def _batch(pictures: list[tuple[str, np.ndarray]], size: int) -> Batch:
    image, file = np.zeros((size, SIZE, SIZE, 3), np.uint8), np.full(size, "", object)
    for row, (name, pixels) in enumerate(pictures):
        image[row], file[row] = pixels, name
    mask = (np.arange(size) < len(pictures)).astype(np.float32)
    return {"image": image, "label": np.full(size, UNKNOWN, np.int32), "mask": mask, "file": file}
