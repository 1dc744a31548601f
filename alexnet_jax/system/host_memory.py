"""The host's memory: what a step has freed is kept for the next one, while there is enough."""

import ctypes
import importlib.metadata
import importlib.util
import os
import threading
import time

from alexnet_jax.system.memory_in_use import share_in_use

# mallopt(3): as malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8

SCARCE = 0.75  # of the memory in use: from there on what is free goes back
SECONDS = 1.0  # between two looks


def keep() -> bool:
    """Tell malloc not to give memory back to the system; return whether it is told so.

    XLA's CPU backend asks for the work space of each step anew, and glibc takes blocks of that size
    from the system every time, which clears each of their pages when it is first touched: in a
    training step of batch 32, 144,000 pages and a sixth of the processor's time
    (experiments/README.md, "CPU"). Kept are freed blocks of any size, in one arena, since those of
    other threads take large blocks from the system whatever this says. Call it before threads are
    there.

    Kept are up to some times what a step needs: malloc leaves the ends of a large block to small
    ones (its cache for each thread), and until those are gone the block is too short for the next
    step. So a thread gives back what is free, every second, while memory is scarce.

    Nothing changes where JAX may have an accelerator, whose steps need none of this while many
    threads read images for it; where a variable of the environment says how malloc shall behave
    (MALLOC_..., GLIBC_TUNABLES); where malloc is not glibc's, or the system does not say what is in
    use.
    """
    told = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if told or not only_cpu():
        return False
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return False
    try:
        share_in_use()
    except (OSError, KeyError, ValueError):
        return False
    wanted = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
    if not all(libc.mallopt(*option) == 1 for option in wanted):
        return False
    threading.Thread(target=_give_back_when_scarce, args=(libc,), daemon=True).start()
    return True


def only_cpu() -> bool:
    """Return whether JAX can have the CPU only; to ask it would start its threads."""
    if asked := os.environ.get("JAX_PLATFORMS"):
        return asked == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    modules = (importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))
    return not (plugins or any(modules) or "TPU_LIBRARY_PATH" in os.environ)


def _give_back_when_scarce(libc: ctypes.CDLL) -> None:
    while True:
        time.sleep(SECONDS)
        if share_in_use() > SCARCE:
            libc.malloc_trim(0)
