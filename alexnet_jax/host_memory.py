"""The host's memory: what a step has freed is kept for the next one."""

import ctypes
import os

# mallopt(3): as malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep() -> bool:
    """Tell malloc not to give memory back to the system; return whether it is told so.

    XLA's CPU backend asks for the work space of each step anew, and glibc takes blocks of that size
    from the system every time, which clears each of their pages when it is first touched: in a
    training step of batch 32, 144,000 pages and a sixth of the processor's time
    (experiments/README.md, "CPU"). Kept are freed blocks of any size, in one arena, since those of
    other threads take large blocks from the system whatever this says. Call it before threads are
    there. What a process has used at most is then its until it ends.

    Nothing changes where a variable of the environment says how malloc shall behave (MALLOC_...,
    GLIBC_TUNABLES), and where malloc is not glibc's.
    """
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    wanted = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
    return mallopt is not None and all(mallopt(*option) == 1 for option in wanted)
