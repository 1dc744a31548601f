"""How the fuzzers run: the same inputs each time, more of them with FUZZ=20000 pytest <file>."""

import os

from hypothesis import HealthCheck, settings


def fuzzed(count: int) -> settings:
    """Return the settings of a test of `count` inputs, or of FUZZ; each may take 10 s."""
    return settings(
        max_examples=int(os.environ.get("FUZZ", count)),
        derandomize=True,
        database=None,
        deadline=10_000,
        suppress_health_check=list(HealthCheck),
    )
