"""Reuse the memory of batches: fresh memory costs time, since the system zeroes it."""

import weakref

import numpy as np


class Recycled:
    """Makes arrays whose memory is reused when nothing refers to it any more. Threads may share it.

    Fresh memory took a tenth of a loader's time. The memory kept is the most that was in use at one
    time.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return a uint8 array of any content. Its memory returns when all views of it are gone.

        Args:
          shape: of the array. Free memory of another size is dropped.
        """
        size = int(np.prod(shape))
        if not size:
            return np.empty(shape, np.uint8)
        memory = self._taken(size)
        # The base of `whole` is not an array, so NumPy makes `whole` the base of all views of it,
        # and not `memory`: it lives as long as any view does.
        whole = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(whole, self._free.append, memory).atexit = False
        return whole.reshape(shape)

    def _taken(self, size: int) -> np.ndarray:
        while True:
            try:
                memory = self._free.pop()
            except IndexError:
                return np.empty(size, np.uint8)
            if memory.size == size:
                return memory
