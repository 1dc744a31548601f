"""Images inside tar archives, read in place: nothing is unpacked to disk.

The headers are gone through once (some 25 us a file), and an image is then one pread at its
offset, from any thread.
"""

import dataclasses
import os
import pathlib
import tarfile
from array import array
from collections.abc import Iterator
from typing import IO, Any

from alexnet_jax.data.decode.images import BadImageError, Square, read_square
from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.sources.folders import is_image_name
from alexnet_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Member:
    """A file inside an archive: its name there, and where its bytes are."""

    name: str
    path: pathlib.Path
    offset: int
    size: int


class TarImages:
    """Places of images inside archives, some 100 bytes each.

    Attributes:
      names: of the files, without folders.
      labels: the class of each.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.labels = array("l")
        self._paths: list[pathlib.Path] = []
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

    def load(self, index: int, resize: Resize) -> Square:
        """Read image `index` and make its square.

        Raises:
          BadImageError: it cannot be read or decoded.
        """
        path, size = self._paths[self._archives[index]], self._sizes[index]
        name = f"{path}: {self.names[index]}"
        try:
            with open(path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), size, self._offsets[index])
        except OSError as error:
            raise BadImageError(name, f"cannot be read ({error.strerror})") from error
        if len(data) < size:
            raise BadImageError(name, f"the archive ends after {len(data)} of its {size} bytes")
        return read_square(data, name, resize)


def images_of(path: pathlib.Path, offset: int = 0, size: int | None = None) -> list[Member]:
    """Return the image files of an archive, sorted by name without folders.

    Args:
      path: an uncompressed tar archive, or a file that holds one from `offset` on.
      offset, size: where it lies in the file, bytes; None: to the end.

    Raises:
      DataError: it is damaged, cut short, compressed, or no archive.
    """
    found = {}  # of two files of one name the later one counts, as where an archive is unpacked
    for member in members(path, offset, size):
        name = member.name.rpartition("/")[2]
        if is_image_name(name):
            found[name] = dataclasses.replace(member, name=name)
    return [found[name] for name in sorted(found)]


def members(path: pathlib.Path, offset: int = 0, size: int | None = None) -> Iterator[Member]:
    """Iterate over the files of an archive, in its order; see images_of."""
    try:
        with open(path, "rb") as file:
            whole = os.fstat(file.fileno()).st_size
            size = whole - offset if size is None else size
            if offset + size > whole:
                raise tarfile.ReadError("unexpected end of data")
            with tarfile.open(fileobj=_Part(file, offset, size), mode="r:") as tar:  # type: ignore[call-overload]
                while (info := tar.next()) is not None:
                    tar.members = []  # tarfile would keep them all, 1 KB each
                    if info.isreg() and not info.issparse():
                        yield Member(info.name, path, offset + info.offset_data, info.size)
                # tarfile takes a header that is cut off for the end, which is a block of zeros.
                file.seek(offset + tar.offset)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("unexpected end of data")
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            f"{path} cannot be read as an uncompressed tar archive ({error}); download it again, "
            "or check its size"
        ) from error


class _Part:
    """A part of an open file as a file of its own, for tarfile: read, seek, tell."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._place = file, offset, size, 0

    def read(self, count: int = -1) -> bytes:
        left = max(self._size - self._place, 0)
        self._file.seek(self._offset + self._place)
        data = self._file.read(left if count < 0 else min(count, left))
        self._place += len(data)
        return data

    def seek(self, place: int, *unused: Any) -> int:
        self._place = place
        return place

    def tell(self) -> int:
        return self._place
