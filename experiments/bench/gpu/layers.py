"""A profile of the training step by layer: time, bytes, shares of bandwidth and of product rate.

    python -m experiments.bench.gpu.layers --batch=1024 --dtype=bfloat16 [--steps=5]

JAX's profiler gives the time of each operation of the compiled program, hlo_traffic.py the bytes
that it moves and its part of the step. The bandwidth is that of a copy, the product rate that of a
large square product, both measured here. The last line is one JSON object; `largest` has the
operations that take most of the time.
"""

import collections
import json
import pathlib
import statistics
import sys
import tempfile
from typing import Any

import jax
from absl import flags

from alexnet_jax.system import command_line
from experiments.bench import step, turns
from experiments.bench.gpu.hlo_traffic import Operation, operations
from experiments.bench.our_step import OurStep, calls_of

COPIED, COPIED_CPU = 2**30, 2**24  # bytes
LARGEST = 25


def bandwidth() -> float:
    """Return the bytes a second, read and written, of a copy that is larger than the caches."""
    size = COPIED_CPU if jax.default_backend() == "cpu" else COPIED
    x = jax.random.normal(jax.random.key(0), (size // 4,))
    double = jax.jit(lambda x: x * 2)
    seconds = _median(lambda: double(x), calls_of(None))
    return 2 * size / seconds


def product_rate(dtype: str) -> float:
    """Return the operations a second of one large product."""
    product, work = step.matmul(dtype)
    return work / _median(product, 1)  # long enough by itself, seconds on an old card


def _median(run, calls: int) -> float:
    timing = turns.timed(run, jax.block_until_ready, calls)
    timing()
    return statistics.median(timing() for _ in range(3))


def seconds_of(folder: pathlib.Path) -> dict[str, float]:
    """Return operation -> seconds, from the profile in a folder; on CPU those of all threads."""
    (path,) = folder.rglob("*.xplane.pb")
    seconds: dict[str, float] = collections.defaultdict(float)
    planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
    on_gpu = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    if not on_gpu and jax.default_backend() != "cpu":
        names = ", ".join(plane.name for plane in planes)
        print(
            f"the profile has no plane of the GPU (is CUPTI installed?): {names}", file=sys.stderr
        )
    for plane in on_gpu or planes:
        for line in plane.lines:
            if on_gpu and not line.name.startswith("Stream"):
                continue  # sums over the streams
            for event in line.events:
                # A kernel of a library that names no operation counts under its own name.
                if name := dict(event.stats).get("hlo_op") or (on_gpu and event.name):
                    seconds[str(name)] += event.duration_ns / 1e9
    return seconds


def by_part(
    rows: list[Operation], seconds: dict[str, float], work: dict[tuple[str, bool], float]
) -> dict[str, dict[str, float]]:
    """Return the part and its direction -> its milliseconds, bytes and operations (products)."""
    parts: dict[str, dict[str, float]] = {}
    for row in rows:
        name = f"{row.part}, backward" if row.backward else row.part
        part = parts.setdefault(name, {"ms": 0.0, "bytes": 0, "operations": 0.0})
        part["ms"] += 1e3 * seconds.get(row.name, 0.0)
        part["bytes"] += row.moved
        if row.product:  # once for each part: its operations may be of several kernels
            part["operations"] = work.get((row.part, row.backward), 0.0)
    return parts


def work_of(arch: str, batch: int) -> dict[tuple[str, bool], float]:
    """Return (layer, whether backward) -> the operations of its products in a step."""
    forward = {name: batch * cost for name, cost in step.products(arch).items()}
    work: dict[tuple[str, bool], float] = {}
    for name, cost in forward.items():
        work[name, False], work[name, True] = cost, cost * (1 if name == "conv1" else 2)
    return work


def measure(arch: str, batch: int, dtype: str, steps: int, **model: Any) -> dict:
    """Return the profile of a step."""
    peak, rate = bandwidth(), product_rate(dtype)
    ours = OurStep(batch, dtype, arch, **model)
    rows = operations(ours.compile())
    jax.block_until_ready([ours.train() for _ in range(3)][-1])
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready([ours.train() for _ in range(steps)][-1])
        seconds = {k: v / steps for k, v in seconds_of(pathlib.Path(folder)).items()}
    parts = by_part(rows, seconds, work_of(arch, batch))
    for part in parts.values():
        took = part["ms"] / 1e3
        part["share_of_bandwidth"] = part["bytes"] / took / peak if took else 0.0
        part["share_of_product_rate"] = part["operations"] / took / rate if took else 0.0
    known = {row.name: row for row in rows}
    largest = sorted(seconds, key=seconds.__getitem__, reverse=True)[:LARGEST]
    return {
        "batch": batch,
        "dtype": dtype,
        "device": f"{jax.devices()[0].platform}:{jax.devices()[0].device_kind}",
        "step_ms": 1e3 * _median(ours.train, calls_of(None)),
        "copy_gb_per_second": peak / 1e9,
        "product_gflops": rate / 1e9,
        "ms_outside_the_program": 1e3 * sum(s for n, s in seconds.items() if n not in known),
        "parts": dict(sorted(parts.items(), key=lambda item: -item[1]["ms"])),
        "largest": [
            {
                "name": name,
                "part": known[name].part if name in known else None,
                "ms": 1e3 * seconds[name],
                "bytes": known[name].moved if name in known else None,
            }
            for name in largest
        ],
    }


def define_flags() -> None:
    """Define the command line."""
    turns.define_flags()
    flags.DEFINE_integer("steps", 5, "Profiled.", lower_bound=1)


def main(_) -> None:
    """Profile what the flags describe."""
    f = flags.FLAGS
    print(json.dumps(measure(f.arch, f.batch, f.dtype, f.steps)))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
