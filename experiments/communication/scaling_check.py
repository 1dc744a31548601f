"""Steps of a small net in two and four processes of this machine, beside the model of scaling.py.

    python -m experiments.communication.scaling --check

Each process has one CPU device; Gloo carries what crosses over TCP. They share the machine's cores,
so their work takes as long as one after the other on one device. What crosses is modelled with the
rate and latency of sums of two sizes, which the same processes take in groups as large. Process 0
also takes steps alone, for the work. All take turns. Each process is one of this module.
"""

import functools
import json
import os
import socket
import statistics
import subprocess
import sys

import jax
import jax.numpy as jnp
from absl import flags
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from alexnet_jax.errors import UserError
from alexnet_jax.system import command_line, distributed
from experiments.bench.our_step import RECIPES, OurStep
from experiments.bench.turns import REPOSITORY, take_turns, timed
from experiments.communication.hlo_collectives import Collective, collectives
from experiments.communication.scaling import Link, work_of

MESHES = {2: ((2, 1), (1, 2)), 4: ((4, 1), (2, 2))}  # processes -> data x group
BATCH, ROUNDS = 16, 15
SMALL, LARGE = 1 << 16, 1 << 24  # bytes of a sum


def link_of(devices: int, small: float, large: float) -> Link:
    """Return the link over which a ring of devices sums SMALL and LARGE bytes in these seconds."""
    exchanges = 2 * (devices - 1)
    rate = exchanges * (LARGE - SMALL) / devices / max(1e-9, large - small)
    return Link(rate, max(0.0, small / exchanges - SMALL / devices / rate))


def crossing(made: list[Collective], links: dict[int, Link]) -> float:
    """Return the seconds of a step's collectives, one after the other.

    On a CPU XLA sums each array of a reduction by itself (its all_reduce_thunk.cc).

    Args:
      made: the collectives.
      links: the link between the devices of a group, by their number.
    """
    seconds = 0.0
    for one in made:
        exchanges = (one.devices - 1) * (2 if one.kind == "all-reduce" else 1) * len(one.shapes)
        link = links[one.devices]
        seconds += one.received_bytes / link.rate + exchanges * link.latency
    return seconds


def report(
    processes: int, seconds: dict[str, float], made: dict[tuple[int, int], list[Collective]]
) -> dict:
    """Return each mesh's measured step beside the model's.

    Args:
      processes: of one device each.
      seconds: of "sum DEVICES BYTES", of "alone IMAGES" on one device, of a mesh: "2x1".
      made: the collectives of each mesh's step.
    """
    links = {
        n: link_of(n, seconds[f"sum {n} {SMALL}"], seconds[f"sum {n} {LARGE}"])
        for n in sorted({2, processes})
    }
    work = work_of({n: seconds[f"alone {n}"] for n in (BATCH // processes, BATCH)})
    steps = {}
    for (data, group), crosses in made.items():
        measured = seconds[f"{data}x{group}"]
        working, crossed = data * work.seconds(BATCH / data), crossing(crosses, links)
        steps[f"{data}x{group}"] = {
            "megabytes_received": round(sum(one.received_bytes for one in crosses) / 1e6, 3),
            "transfers": sum(len(one.shapes) for one in crosses),
            "work_ms": round(1e3 * working, 1),
            "crossing_ms": round(1e3 * crossed, 1),
            "model_ms": round(1e3 * (working + crossed), 1),
            "measured_ms": round(1e3 * measured, 1),
            "measured_to_model": round(measured / (working + crossed), 2),
        }
    return {
        "processes": processes,
        "gb_per_second": {n: round(link.rate / 1e9, 3) for n, link in links.items()},
        "latency_us": {n: round(link.latency * 1e6, 1) for n, link in links.items()},
        "alone_ms": {n: round(1e3 * seconds[f"alone {n}"], 1) for n in (BATCH // processes, BATCH)},
        "steps": steps,
    }


def summed(devices: int, size: int):
    """Return a call in which each group of devices sums `size` bytes."""
    count = jax.device_count()
    mesh = jax.make_mesh((count // devices, devices), ("groups", "d"))
    each = NamedSharding(mesh, P(("groups", "d")))
    x = jax.jit(lambda: jnp.ones((count, size // 4)), out_shardings=each)()
    total = jax.shard_map(
        lambda x: jax.lax.psum(x, "d"), mesh=mesh, in_specs=each.spec, out_specs=P("groups")
    )
    return functools.partial(jax.jit(total), x)


def measure(processes: int) -> dict:
    """Return the report; all processes call this, and take the same turns."""

    def step(batch: int, devices: list[jax.Device], mesh: tuple[int, int]) -> OurStep:
        return OurStep(batch, "float32", "small", devices, mesh, width=0.25)

    groups = sorted({2, processes})
    runs = {f"sum {n} {size}": summed(n, size) for n in groups for size in (SMALL, LARGE)}
    for batch in (BATCH // processes, BATCH):  # the others wait for process 0 in what comes next
        alone = step(batch, jax.local_devices(), (1, 1))
        runs[f"alone {batch}"] = alone.train if jax.process_index() == 0 else tuple
    made = {}
    for mesh in MESHES[processes]:
        ours = step(BATCH, jax.devices(), mesh)
        made[mesh] = collectives(ours.compile())
        runs["{}x{}".format(*mesh)] = ours.train
    timings = {name: timed(run, jax.block_until_ready) for name, run in runs.items()}
    taken = take_turns(timings, ROUNDS)
    return report(processes, {name: statistics.median(each) for name, each in taken.items()}, made)


def together(processes: int) -> dict:
    """Start processes of this module; return the report of the first. All have ended then."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        program = [f"--coordinator=localhost:{free.getsockname()[1]}", f"--processes={processes}"]
    program = [sys.executable, "-m", "experiments.communication.scaling_check", *program]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    started: list[subprocess.Popen] = []
    try:
        for number in range(processes):
            started.append(
                subprocess.Popen(
                    [*program, f"--process={number}"],
                    stdout=subprocess.PIPE if number == 0 else subprocess.DEVNULL,
                    text=True,
                    env=environment,
                    cwd=REPOSITORY,
                )
            )
        output, _ = started[0].communicate()
        if started[0].returncode:
            raise UserError(f"process 0 of {processes} ended with code {started[0].returncode}")
        return json.loads(output.splitlines()[-1])
    finally:
        for process in started:
            process.kill()
            process.wait()


def check() -> dict:
    """Return the reports of two and of four processes."""
    reports = [together(processes) for processes in MESHES]
    return {"batch": BATCH, "rounds": ROUNDS, "runs": reports}


def define_flags() -> None:
    """Define the command line of one process."""
    flags.DEFINE_string("coordinator", None, "host:port of process 0.", required=True)
    flags.DEFINE_integer("processes", 2, "Of the run.")
    flags.DEFINE_integer("process", 0, "This one.")


def main(_) -> None:
    """Be one process; the first prints the report."""
    f = flags.FLAGS
    distributed.start(
        RECIPES["small"].get_config().distributed, f.coordinator, f.processes, f.process
    )
    result = measure(f.processes)
    if f.process == 0:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
