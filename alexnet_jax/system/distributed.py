"""Several processes as one run: how they find each other, and how they stop together.

JAX's own runtime connects them. Each process calls `start` before anything else of JAX, and then
does the same as all others; only process 0 writes logs.
"""

import contextlib
import faulthandler
import functools
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import jax
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import peer_watch

_LOST = re.compile("Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|Connection (reset|closed)")
NEVER_MS = 2**31 - 1  # a barrier's timeout: the slowest disk is slower than any guess


def start(
    settings: ConfigDict,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Join the other processes of this run.

    A process that dies later, or does not come now, ends this one within
    settings.timeout_seconds, with a line that names it.

    Args:
      settings: config.distributed.
      coordinator: host:port of process 0; None, with the next two: SLURM, Open MPI, Kubernetes
        or Cloud TPU say.
      num_processes: of the run.
      process_id: of this process, from 0.

    Raises:
      ConfigError: nobody says who takes part.
    """
    me = f"{socket.gethostname()}:{os.getpid()}"
    known = "" if process_id is None else f"process {process_id} of {num_processes}, "
    print(f"{known}{me}: waiting for the others", file=sys.stderr)
    watch = subprocess.Popen(  # it inherits this process's stderr, and ends with it
        [sys.executable, "-I", peer_watch.__file__], stdin=subprocess.PIPE
    )
    assert watch.stdin is not None
    os.dup2(watch.stdin.fileno(), sys.stderr.fileno())
    faulthandler.disable()  # its dump of all threads would bury the one line
    seconds = settings.timeout_seconds
    _give_up_on_the_missing_after(seconds)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            local_devices(os.environ),
            initialization_timeout=seconds + 2,  # the service, which knows who is missing, first
            heartbeat_timeout_seconds=seconds,
            shutdown_timeout_seconds=seconds,
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"--distributed does not know who takes part ({error}): start it with srun or mpirun, "
            "or give --coordinator=host:port --num_processes=N --process_id=K"
        ) from error
    names = [_exchanged(number, me) for number in range(jax.process_count())]
    print(peer_watch.NAMES + " ".join(names), file=sys.stderr, flush=True)


def local_devices(environment: Mapping[str, str]) -> list[int] | None:
    """Return which of the GPUs that this process sees are its own.

    By itself JAX gives each process of a machine one, by its rank there: the wrong one where the
    scheduler shows each process only its own, and too few where there is one process.

    Args:
      environment: the variables of the process.

    Returns:
      [] for all that it sees, None for JAX's choice, as jax.distributed.initialize takes it.
    """
    if environment.get("JAX_LOCAL_DEVICE_IDS"):
        return None
    if "OMPI_COMM_WORLD_LOCAL_RANK" in environment:  # first, as for JAX: SLURM may be around it
        rank = int(environment["OMPI_COMM_WORLD_LOCAL_RANK"])
        alone = environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
        bound = False
    elif "SLURM_LOCALID" in environment:
        rank = int(environment["SLURM_LOCALID"])
        tasks = environment.get("SLURM_STEP_TASKS_PER_NODE", "")
        alone = re.fullmatch(r"1(\(x\d+\))?", tasks) is not None
        unbound = "none" in environment.get("SLURM_GPU_BIND", "")
        bound = "SLURM_GPUS_PER_TASK" in environment and not unbound
    else:
        return None
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    not_there = visible is not None and rank >= len(visible.split(","))
    return [] if alone or bound or not_there else None


def _give_up_on_the_missing_after(seconds: int) -> None:
    """Have process 0's service say who is missing; JAX lets it wait an hour, its clients less."""
    from jax._src import distributed

    service = distributed._jax.get_distributed_runtime_service
    distributed._jax.get_distributed_runtime_service = functools.partial(
        service, cluster_register_timeout=seconds
    )


def _exchanged(number: int, me: str) -> str:
    """Return the name of a process, telling the others this one's."""
    client = _client()
    key = f"alexnet_jax/process/{number}"
    if number == jax.process_index():
        client.key_value_set(key, me)
    return client.blocking_key_value_get(key, NEVER_MS)


def _client() -> Any:
    from jax._src import distributed  # JAX has no public way to its key-value store and barriers

    return distributed.global_state.client


def wait_for_all(what: str) -> None:
    """Return when every process has come here; at once where there is only one.

    Args:
      what: a name that no other barrier of the run has.
    """
    if jax.process_count() > 1:
        _client().wait_at_barrier(f"alexnet_jax/{what}", NEVER_MS)


def leave(code: int) -> NoReturn:
    """End this process; of several, without waiting for the others, which cannot go on."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextlib.contextmanager
def named_failures(settings: ConfigDict) -> Iterator[None]:
    """When a collective fails, let the service find out which process died, and end this one.

    The collective fails at once, but the service waits for heartbeats.
    """
    try:
        yield
    except Exception as error:
        if is_of_a_peer(error):
            time.sleep(2 * settings.timeout_seconds)
        raise


def is_of_a_peer(error: Exception) -> bool:
    """Whether an error may be that another process is gone; JAX raises it as one of several."""
    if not jax.distributed.is_initialized():
        return False
    return isinstance(error, jax.errors.JaxRuntimeError) or bool(_LOST.search(str(error)))
