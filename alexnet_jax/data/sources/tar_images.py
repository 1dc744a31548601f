"""Images inside tar archives, read in place: nothing is unpacked to disk.

The headers are read once (about 25 us a file). Then any thread reads an image with one pread.
"""

import dataclasses
import functools
import io
import os
import pathlib
import tarfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from alexnet_jax.data.decode.images import BadImageError, Square, read_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.gzip_file import GzipFile
from alexnet_jax.data.sources.listing import LeftOut, is_image_name
from alexnet_jax.data.sources.source import Item, Split
from alexnet_jax.errors import DataError

NO_FILE = -1
_MOST_PADDING = 1 << 20  # bytes of zeros at the end of an archive; tar writes 10 KB


@dataclasses.dataclass(frozen=True)
class Member:
    """A file inside an archive: its name there, and which bytes of `path` (or its content) hold it.

    The size of a link, a device or a sparse file is NO_FILE.
    """

    name: str
    path: pathlib.Path | GzipFile
    offset: int
    size: int


class TarImages:
    """Names, labels and offsets of images inside archives: about 100 bytes an image.

    Attributes:
      names: of the files, without folders.
      labels: of the images.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.labels = array("l")
        self._paths: list[pathlib.Path | GzipFile] = []
        self._archives, self._offsets, self._sizes = array("l"), array("q"), array("q")

    def add(self, members: list[Member], labels: list[int]) -> None:
        """Append images."""
        for member, label in zip(members, labels, strict=True):
            if not self._paths or self._paths[-1] != member.path:
                self._paths.append(member.path)
            self.names.append(member.name)
            self.labels.append(label)
            self._archives.append(len(self._paths) - 1)
            self._offsets.append(member.offset)
            self._sizes.append(member.size)

    def split(self, name: Callable[[int], str] | None = None) -> Split:
        """Return the split of the images; `name` gives that of an item, None: the file's."""

        def item(index: int) -> Item:
            named = name(index) if name else self.names[index]
            return Item(named, self.labels[index], functools.partial(self.load, index))

        return Split(len(self.names), item, self.labels)

    def load(self, index: int, resize: Resize) -> Square:
        """Read image `index` and make its square.

        Raises:
          BadImageError: the image cannot be read or decoded.
        """
        path, size = self._paths[self._archives[index]], self._sizes[index]
        name = f"{path}: {self.names[index]}"
        if size == NO_FILE:
            raise BadImageError(name, "is a link, a device or sparse, and no whole file")
        try:
            if isinstance(path, GzipFile):
                data = path.read(self._offsets[index], size)
            else:
                with open(path, "rb", buffering=0) as file:
                    data = os.pread(file.fileno(), size, self._offsets[index])
        except (OSError, EOFError, zlib.error) as error:
            raise BadImageError(name, f"cannot be read ({error})") from error
        if len(data) < size:
            raise BadImageError(name, f"the archive ends after {len(data)} of its {size} bytes")
        return read_square(data, name, resize)


def images_of(
    path: pathlib.Path,
    offset: int = 0,
    size: int | None = None,
    *,
    left_out: LeftOut | None = None,
) -> list[Member]:
    """Return the image files of an archive, sorted by name without folders.

    Args:
      path: an uncompressed tar archive, or a file that holds one.
      offset, size: where the archive lies in the file, bytes. Size None: to the end of the file.
      left_out: counts all other files.

    Raises:
      DataError: the archive is damaged, cut short or compressed, or no archive at all.
    """
    left_out = LeftOut() if left_out is None else left_out
    by_name: dict[str, Member] = {}  # the later of two files with one name counts, as in unpacking
    for member in _images(members(path, offset, size), left_out):
        if member.name in by_name:
            left_out["earlier files of one name in an archive"] += 1
        by_name[member.name] = member
    return [by_name[name] for name in sorted(by_name)]


def images_in_order(path: pathlib.Path, left_out: LeftOut) -> list[Member]:
    """Return the image files of an archive in its order; the rest is as in `images_of`.

    An archive that ends in .gz or .tgz is decompressed once.
    """
    return list(_images(_compressed(path) if path.name.endswith("gz") else members(path), left_out))


def _images(files: Iterable[Member], left_out: LeftOut) -> Iterator[Member]:
    """Iterate over the image files, named without folders."""
    for member in files:
        name = member.name.rpartition("/")[2]
        if is_image_name(name):
            yield dataclasses.replace(member, name=name)
        else:
            left_out.file(name)


def _files(tar: tarfile.TarFile, path: pathlib.Path | GzipFile) -> Iterator[Member]:
    """Iterate over all but the folders of an opened archive, in its order."""
    while (info := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined] # else all are kept, 1 KB each
        if not info.isdir():
            whole = info.isreg() and not info.issparse()
            yield Member(info.name, path, info.offset_data, info.size if whole else NO_FILE)


def _compressed(path: pathlib.Path) -> Iterator[Member]:
    """Iterate over the files of an archive that gzip has compressed, in its order."""
    content = GzipFile(path)
    stream = _Stream(content.pieces())
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            yield from _files(tar, content)
        while stream.read(tarfile.RECORDSIZE):  # gzip's checksum is at the end
            pass
    except Exception as error:  # of damaged headers tarfile raises many kinds, also MemoryError
        raise DataError(
            f"{path} cannot be read as a tar archive compressed by gzip ({error}); download it "
            "again, or check its size"
        ) from error


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file to read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def members(path: pathlib.Path, offset: int = 0, size: int | None = None) -> Iterator[Member]:
    """Iterate over the files of an archive, in its order; arguments and errors: `images_of`."""
    try:
        with open(path, "rb") as file:
            file_size = os.fstat(file.fileno()).st_size
            end = file_size if size is None else offset + size
            file.seek(offset)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield from _files(tar, path)
                # The end of an archive is a block of zeros. But tarfile also stops at a header that
                # is damaged or cut off, and it reads beyond `end`.
                file.seek(tar.offset)
                zeros = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
                if not zeros or tar.offset + tarfile.BLOCKSIZE > end:
                    raise tarfile.ReadError("unexpected end of data")
                if end - tar.offset > _MOST_PADDING:  # a download that was not finished
                    size = end - offset
                    raise tarfile.ReadError(f"zeros from byte {tar.offset - offset} of {size} on")
    except Exception as error:  # of damaged headers tarfile raises many kinds, also MemoryError
        raise DataError(
            f"{path} cannot be read as an uncompressed tar archive ({error}); download it again, "
            "or check its size"
        ) from error
