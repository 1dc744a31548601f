"""Image files that a user names: read as squares in threads, in their order, and batched."""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from alexnet_jax.data.decode.images import BadImageError
from alexnet_jax.data.decode.resize import PAPER, Resize
from alexnet_jax.data.input.loader import Batch
from alexnet_jax.data.sources.folders import files_split
from alexnet_jax.data.sources.listing import LeftOut, images
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.system.cores import cores
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path
from alexnet_jax.system.threads import ordered_map

UNKNOWN = -1  # label of an image without one
Read = tuple[pathlib.Path, np.ndarray | BadImageError]
_AHEAD = 16  # files for each thread that are read ahead, so that memory stays bounded


class BadFiles(list[BadImageError]):
    """The files that cannot be read. Each is named on stderr when it is appended."""

    def append(self, error: BadImageError) -> None:
        """Add a file and print what is wrong with it."""
        say(f"error: {error}")
        super().append(error)


def image_files(words: Sequence[str]) -> list[pathlib.Path]:
    """Return the files that are named, and all images below the folders that are named, sorted.

    One line on stderr says what else the folders hold.

    A file that does not exist is returned too: `squares` reports it, and reads the others.

    Raises:
      ConfigError: nothing is named.
      DataError: a folder holds no image.
    """
    if not words:
        raise ConfigError("expected one or more images or folders of images after the flags")
    files = []
    for word in words:
        path = user_path(word)
        if path.is_dir():
            left_out = LeftOut()
            names = images(path, ".", may_be_empty=True, left_out=left_out)
            if line := left_out.line():
                say(f"{path}: {line}")
            if not names:
                raise DataError(f"{path} holds no image: no file has the ending of one")
            files += [path / name for name in names]
        else:
            files.append(path)
    return files


def squares(
    paths: Sequence[pathlib.Path], resize: Resize = PAPER, workers: int = 0
) -> Iterator[Read]:
    """Yield each file with its (size, size, 3) uint8 RGB square, or with the error of reading it.

    Args:
      paths: of the files; only a few are read in advance.
      resize: how a picture becomes a square, and its size.
      workers: how many threads; 0: one for each core.
    """
    split = files_split(pathlib.Path(), [(str(path), 0) for path in paths])

    def read(index: int) -> Read:
        try:
            return paths[index], split.item(index).load(resize).pixels
        except BadImageError as error:
            return paths[index], error

    threads = workers or cores()
    return ordered_map(read, range(len(paths)), threads, _AHEAD * threads)


def batches(
    read: Iterable[Read], batch_size: int, bad: Callable[[BadImageError], None]
) -> Iterator[Batch]:
    """Batch image files as loader.eval_batches batches a split.

    Args:
      read: what `squares` yields.
      batch_size: images in a batch; the last one is padded with black images.
      bad: is called for each file that cannot be read; the file is left out.

    Yields:
      image (b, size, size, 3) uint8 RGB, label (b,) int32 UNKNOWN, mask (b,) float32 (1 for an
      image, 0 for padding) and file (b,) str.
    """
    waiting: list[tuple[str, np.ndarray]] = []
    for path, square in read:
        if isinstance(square, BadImageError):
            bad(square)
            continue
        waiting.append((str(path), square))
        if len(waiting) == batch_size:
            yield _batch(waiting, batch_size)
            waiting = []
    if waiting:
        yield _batch(waiting, batch_size)


def _batch(pictures: list[tuple[str, np.ndarray]], size: int) -> Batch:
    image = np.zeros((size, *pictures[0][1].shape), np.uint8)
    file = np.full(size, "", object)
    for row, (name, pixels) in enumerate(pictures):
        image[row], file[row] = pixels, name
    mask = (np.arange(size) < len(pictures)).astype(np.float32)
    return {"image": image, "label": np.full(size, UNKNOWN, np.int32), "mask": mask, "file": file}
