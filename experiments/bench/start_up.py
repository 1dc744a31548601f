"""Measure the time to the first step, the memory of a run, and the cost of a checkpoint.

    python -m experiments.bench.start_up --batch=32 [--dtype=bfloat16]

The benchmark of the step (step.py) starts this program. The last line is one JSON object: the
seconds from the start of the process to the end of the first training step, and the part of them
that compiles and runs it; of a later step, alone and while a checkpoint is written; of the
checkpoint, how long a save delays training and when it is on disk; the peak memory. Where
JAX_COMPILATION_CACHE_DIR has the step already, nothing is compiled.
"""

import json
import os
import pathlib
import resource
import statistics
import tempfile
import time

import jax
from absl import flags

from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.system import command_line
from experiments.bench.our_step import OurStep
from experiments.bench.turns import define_flags, timed

STEPS = 9  # after the first: some of them still take memory from the system


def since_start() -> float:
    """Return the seconds since the process began. Linux only."""
    ticks = int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes() -> int:
    """Return the peak memory: the device's, or on a CPU that of the process."""
    stats = jax.devices()[0].memory_stats()
    of_process = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return stats["peak_bytes_in_use"] if stats else of_process


def checkpoint(ours: OurStep, folder: pathlib.Path) -> dict:
    """Return what a save costs; the first save, which makes folders and threads, does not count."""
    step = timed(ours.train, jax.block_until_ready)
    alone = statistics.median(step() for _ in range(STEPS))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(ours.state)
        checkpoints.wait()
        step()
        begin = time.perf_counter()
        checkpoints.save(ours.state)
        held = time.perf_counter() - begin
        behind = step()
        checkpoints.wait()
        on_disk = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "step_ms": round(1e3 * alone, 2),
        "step_while_saving_ms": round(1e3 * behind, 2),
        "save_holds_ms": round(1e3 * held, 2),
        "on_disk_ms": round(1e3 * on_disk),
        "bytes": size // 2,  # two are kept
    }


def main(_) -> None:
    """Measure what the flags describe."""
    ours = OurStep(flags.FLAGS.batch, flags.FLAGS.dtype, flags.FLAGS.arch)
    first = timed(ours.train, jax.block_until_ready)()
    result: dict = {
        "seconds_to_first_step": round(since_start(), 2),
        "compile_and_first_step_seconds": round(first, 2),
    }
    with tempfile.TemporaryDirectory() as folder:
        result["checkpoint"] = checkpoint(ours, pathlib.Path(folder))
    print(json.dumps({**result, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
