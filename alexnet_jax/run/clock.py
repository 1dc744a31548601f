"""How long steps take: the time they wait for data, and the rest."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Times some steps. Call `read` when the device has finished them."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._wait = 0.0
        self._steps = 0

    @contextlib.contextmanager
    def waiting(self, steps: int = 1, *, for_data: bool = True) -> Iterator[None]:
        """Count the time inside as waiting for the data of the next steps, or as theirs."""
        begin = time.perf_counter()
        yield
        if for_data:
            self._wait += time.perf_counter() - begin
        self._steps += steps

    def read(self, batch_size: int) -> dict[str, float]:
        """Return images_per_second, step_ms and data_wait_ms; a step takes both times together."""
        seconds = time.perf_counter() - self._begin
        steps = max(1, self._steps)
        return {
            "images_per_second": self._steps * batch_size / seconds,
            "step_ms": 1e3 * (seconds - self._wait) / steps,
            "data_wait_ms": 1e3 * self._wait / steps,
        }
