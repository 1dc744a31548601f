"""Several processes as one run: how they find each other, and how they end together.

JAX's own runtime connects them. Each process calls `start` before anything else of JAX, and then
does the same as all others; only process 0 writes logs.

When a process dies or stops answering, JAX's coordination service aborts the others from C++, so
that they cannot run any more Python. So `start` gives each process a small companion program, which
prints what the abort means in place of the stack trace of C++, and keeps that in a file.
"""

import contextlib
import faulthandler
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from alexnet_jax.errors import CheckpointError, ConfigError

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")  # in the order in which gRPC looks
NEVER_MS = 2**31 - 1  # a barrier's timeout: a slow disk may take longer than any guess
GONE = (
    "error: JAX ended this process: a peer is gone, hangs or never came, unless a line above or in "
    "{} says otherwise; the same command, in all processes, goes on\n"
)
# Reads what faulthandler writes at a fatal signal (stdin), and what C++ writes to stderr. That is
# passed on after five seconds, if the process still lives; at an abort it goes to a file.
_COMPANION = """
import os, select, signal, sys, tempfile, time
for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGXCPU"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
gone, of_cpp = sys.argv[1], int(sys.argv[2])
dump, held, opened = b"", [], [0, of_cpp]
while opened:
    for ready in select.select(opened, [], [], 1)[0]:
        data = os.read(ready, 65536)
        if not data:
            opened.remove(ready)
        elif ready == of_cpp:
            held.append((time.monotonic() + 5, data))
        else:
            dump += data
    while held and not dump and held[0][0] < time.monotonic():
        os.write(2, held.pop(0)[1])
said = b"".join(data for _, data in held)
if b"Aborted" in dump:
    with tempfile.NamedTemporaryFile(prefix="alexnet_jax_", suffix=".log", delete=False) as file:
        file.write(said)
    os.write(2, gone.format(file.name).encode())
else:
    os.write(2, said + dump)
"""


def start(
    settings: ConfigDict,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Join the other processes of this run; for commands only.

    If another process does not come, or later dies or stops answering, this one ends within
    settings.timeout_seconds, with a line (GONE) and a nonzero exit code.

    Args:
      settings: config.distributed.
      coordinator: host:port of process 0. None, with the next two: SLURM, Open MPI, Kubernetes
        or Cloud TPU know.
      num_processes: of the run.
      process_id: of this process, from 0.

    Raises:
      ConfigError: the processes of the run are not known, or process 0 cannot have its port.
    """
    if coordinator is not None:
        _check_port(coordinator, ours=process_id == 0)
    known = "" if process_id is None else f"process {process_id} of {num_processes}, "
    print(f"{known}{socket.gethostname()}:{os.getpid()}: waiting for the others", file=sys.stderr)
    if line := around_the_proxy(os.environ, coordinator):
        print(line, file=sys.stderr)
    _start_companion()
    seconds = settings.timeout_seconds
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            local_devices(os.environ),
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=seconds,
            shutdown_timeout_seconds=seconds,
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"--distributed does not know who takes part ({error}): start it with srun or mpirun, "
            "or give --coordinator=host:port --num_processes=N --process_id=K"
        ) from error


def _check_port(coordinator: str, *, ours: bool) -> None:
    """Refuse what is no host:port, or a port of ours that another program has.

    gRPC would share it with an earlier process 0 that hangs, and crash where it cannot.
    """
    port = coordinator.rpartition(":")[2]
    if not re.fullmatch(r".+:\d{1,5}", coordinator) or int(port) >= 2**16:
        raise ConfigError(f"--coordinator is host:port of process 0; got {coordinator!r}")
    try:
        if ours:
            socket.create_server(("", int(port))).close()
    except OSError as error:
        raise ConfigError(
            f"process 0 cannot have port {port} ({os.strerror(error.errno or 0)}): end the program "
            "that has it, such as an earlier process 0, or give all processes another --coordinator"
        ) from error


def around_the_proxy(environment: MutableMapping[str, str], coordinator: str | None) -> str | None:
    """Let gRPC reach the coordinator directly where the environment names a proxy.

    Args:
      environment: the environment variables of the process, which are changed.
      coordinator: host:port of process 0; None: not known here.

    Returns:
      A line that says so; None: there is no proxy.
    """
    proxy = next((name for name in PROXIES if environment.get(name)), None)
    if proxy is None:
        return None
    if coordinator is None:
        return f"{proxy} is set: if the processes do not meet, add process 0's host to no_proxy"
    host = coordinator.rpartition(":")[0].strip("[]")
    name = "no_grpc_proxy" if environment.get("no_grpc_proxy") else "no_proxy"
    environment[name] = ",".join(filter(None, (environment.get(name), host)))
    return f"{proxy} is set: {name} is {environment[name]} for this run, so that {host} is reached"


def _start_companion() -> None:
    """Start the companion program; from here on, file 2 is for C++, and sys.stderr for Python."""
    reading, writing = os.pipe()
    terminal = os.dup(2)
    companion = subprocess.Popen(
        [sys.executable, "-I", "-c", _COMPANION, GONE, str(reading)],
        stdin=subprocess.PIPE,
        pass_fds=[reading],
    )
    assert companion.stdin is not None
    faulthandler.enable(companion.stdin)
    sys.stderr.flush()
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    sys.stderr = os.fdopen(terminal, "w", buffering=1, errors="backslashreplace")


def local_devices(environment: Mapping[str, str]) -> list[int] | None:
    """Return which of the GPUs that this process sees are its own.

    By default JAX gives each process of a machine one GPU, by its rank there. This is the wrong one
    if the scheduler shows each process only its own GPUs, and too few if there is one process.

    Args:
      environment: the environment variables of the process.

    Returns:
      What jax.distributed.initialize takes as local_device_ids: [] for all GPUs that the process
      sees, None for JAX's default.
    """
    if environment.get("JAX_LOCAL_DEVICE_IDS"):
        return None
    if "OMPI_COMM_WORLD_LOCAL_RANK" in environment:  # before SLURM, which may have started mpirun
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


def wait_for_all(what: str) -> None:
    """Return when every process has come here; at once if there is only one.

    This is a barrier of the coordination service, through Orbax. The one of
    jax.experimental.multihost_utils is a collective, and a collective on CPU fails if a process is
    30 seconds late.

    Args:
      what: a name that no other barrier of the run has.
    """
    from orbax.checkpoint import multihost  # slow to import, and only runs come here

    multihost.get_barrier_sync_fn()(key=f"alexnet_jax/{what}", timeout_ms=NEVER_MS)


def first_says(flag: bool) -> bool:
    """Return the flag of process 0 in all processes; they must be at the same step."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(flag)))


def first_has(data: bytes) -> bytes:
    """Return the data of process 0 in all processes; they must be at the same step."""
    if jax.process_count() == 1:
        return data
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    own = np.resize(np.frombuffer(data, np.uint8), length)  # the shape of process 0's
    return np.asarray(multihost_utils.broadcast_one_to_all(own)).tobytes()


def leave(code: int) -> NoReturn:
    """End this process; of several, without waiting for the others, which cannot go on."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # JAX's own shutdown would wait for them, and abort
    sys.exit(code)


@contextlib.contextmanager
def blame_a_peer_first(settings: ConfigDict) -> Iterator[None]:
    """Raise an error only after JAX has had time to notice that a peer is gone.

    When a peer dies, a collective or the write of a checkpoint fails at once, with a message that
    does not name the cause. JAX's coordination service notices later, by missing heartbeats, and
    then ends this process.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, CheckpointError, ValueError, OSError):
        if jax.distributed.is_initialized():
            time.sleep(2 * settings.timeout_seconds)
        raise
    finally:
        if jax.distributed.is_initialized():  # the way of C++'s words, so that the last come last
            sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
