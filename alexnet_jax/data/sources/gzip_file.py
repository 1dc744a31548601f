"""A gzip file whose content is read at any offset: nothing is unpacked to disk.

The file is decoded once from the start. Every 64 MB the state of the decoder is kept (45 KB), from
which it can go on later.
"""

import bisect
import functools
import pathlib
import threading
import zlib
from collections.abc import Iterator

_BLOCK = 64 << 20  # bytes of content between two states
_PIECE = 1 << 20  # bytes that are decoded at a time
_CACHED = 4  # blocks: of images that are read in their order, neighbours share one


class GzipFile:
    """The content of a gzip file; `pieces` must have been read to the end before `read`."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path, self.size = path, 0
        self._points: list[tuple[int, int, zlib._Decompress]] = []
        self._lock = threading.Lock()
        self._block = functools.lru_cache(maxsize=_CACHED)(self._decode)

    def __str__(self) -> str:
        return str(self.path)

    def pieces(self) -> Iterator[bytes]:
        """Iterate over the content from the start, and keep the states on the way.

        Raises:
          OSError: the file cannot be read.
          EOFError: it is cut short.
          zlib.error: it is damaged.
        """
        self._points, self.size = [(0, 0, zlib.decompressobj(wbits=31))], 0
        decoder = self._points[0][2].copy()
        with self.path.open("rb") as file:
            while data := file.read(_PIECE):
                while data:
                    if decoder.eof:  # a file may be several, one after the other
                        if not (data := data.lstrip(b"\0")):
                            break
                        decoder = zlib.decompressobj(wbits=31)
                    piece = decoder.decompress(data, _BLOCK)
                    data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                    self.size += len(piece)
                    yield piece
                    if self.size - self._points[-1][0] >= _BLOCK and not decoder.eof:
                        here = file.tell() - len(data)
                        self._points.append((self.size, here, decoder.copy()))
        if not decoder.eof:
            raise EOFError("it ends too early")

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the content; fewer where it ends. Any thread may call this.

        Raises:
          OSError, EOFError, zlib.error: as `pieces`, if the file has changed.
        """
        starts = [start for start, _, _ in self._points]
        found = b""
        while len(found) < size and offset + len(found) < self.size:
            number = bisect.bisect_right(starts, offset + len(found)) - 1
            with self._lock:
                block = self._block(number)
            begin = offset + len(found) - starts[number]
            found += block[begin : begin + size - len(found)]
        return found

    def _decode(self, number: int) -> bytes:
        """Return the content from one state to the next."""
        start, position, decoder = self._points[number]
        stop = self._points[number + 1][0] if number + 1 < len(self._points) else self.size
        decoder, pieces, missing = decoder.copy(), [], stop - start
        with self.path.open("rb") as file:
            file.seek(position)
            data = b""
            while missing:
                data = data or file.read(_PIECE)
                if decoder.eof:
                    data, decoder = data.lstrip(b"\0"), zlib.decompressobj(wbits=31)
                if not data:
                    raise EOFError("it ends too early")
                pieces.append(decoder.decompress(data, missing))
                missing -= len(pieces[-1])
                data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        return b"".join(pieces)
