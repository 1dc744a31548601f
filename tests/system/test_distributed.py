"""Several processes as one run, over loopback: as people will start them, and as they will die."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step.create import abstract_state
from alexnet_jax.system import distributed, sharding
from tests.support import tiny
from tests.support.tiny import bits, lines, start

TIMEOUT = 5  # config.distributed.timeout_seconds
RUN = {"epochs": 7, "checkpoint.every_steps": 5, "distributed.timeout_seconds": TIMEOUT}
STEPS = 37  # ceil(7 * 42 / 8)
TOLD = distributed.GONE.partition("{")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("distributed"))


def flags(folder, name, devices=1, **changes):
    """The command line of the run `name` in a process with so many devices."""
    values = {**RUN, "mesh.cpu_devices": devices}
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    return tiny.run_flags(folder, folder / name, **values)


def alone(folder, name, devices, **changes):
    """Run in one process to its end; return its last line."""
    process = start(*flags(folder, name, devices, **changes))
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return json.loads(out.splitlines()[-1])


def pair(folder, name, count=2, only=None, devices=1, later=(), **changes):
    """Start the processes of one run, with so many devices each, or only one of them.

    `name` is the run's folder, or a tuple: that of each process; `later` are more flags of the
    last process.
    """
    names = (name,) * count if isinstance(name, str) else name
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        start(
            *flags(folder, names[number], devices, **changes),
            "--distributed",
            f"--coordinator={coordinator}",
            f"--num_processes={count}",
            f"--process_id={number}",
            *(later if number == count - 1 else ()),
        )
        for number in range(count)
        if only in (None, number)
    ]


def wait_for_step(folder, name, step):
    """Return when the run has logged this step."""
    path = folder / name / "metrics.jsonl"
    for _ in range(2400):
        if path.exists() and any(line["step"] >= step for line in lines(folder / name)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step}")


def ended(process):
    """Return (exit code, stderr) of a process that is to end by itself."""
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def state_bits(folder, name):
    config = tiny.config(folder)
    config.mesh.group = 1
    net = resolving.resolve(config.model, 3)
    mesh = sharding.make_mesh(config.mesh, net.columns, config.batch_size)
    with Checkpoints(folder / name) as checkpoints:
        return bits(checkpoints.restore(abstract_state(config, net, mesh)))


@pytest.fixture(scope="module")
def unbroken(folder):
    """One process, a column on each of two devices, images read in each epoch."""
    result = alone(folder, "unbroken", devices=2, data__resident="off")
    assert result["step"] == STEPS
    return lines(folder / "unbroken"), state_bits(folder, "unbroken")


@pytest.mark.slow
def test_two_processes_with_folders_of_their_own_are_one_run(folder, unbroken):
    shared = folder / "shared" / "checkpoints"
    often = {"checkpoint__every_minutes": 0.01}  # if each decided for itself, none would go on
    first, second = pair(folder, ("here", "there"), checkpoint__dir=shared, **often)
    (out, said), (silent, _) = (p.communicate(timeout=120) for p in (first, second))
    assert (first.returncode, second.returncode) == (0, 0), said
    assert json.loads(out.splitlines()[-1])["step"] == STEPS
    assert "{" not in silent  # one process speaks for all
    assert (lines(folder / "here"), state_bits(folder, "shared")) == unbroken
    assert not (folder / "there").exists()  # one process writes for all
    assert not (folder / "here" / "checkpoints").exists()


def assert_it_is_told(said: str) -> None:
    """One line says that a peer is gone, the last; no stack trace, of Python or of C++."""
    assert said.splitlines()[-1].startswith(TOLD) and said.count(TOLD) == 1, said
    assert "Traceback" not in said and "stack trace" not in said and "client.h" not in said


def assert_a_peer_is_blamed(process, within: float) -> None:
    begun = time.monotonic()
    code, said = ended(process)
    assert time.monotonic() - begun < within
    assert code not in (0, None)
    assert_it_is_told(said)
    *_, file = re.findall(r"in (\S+) says otherwise", said)
    kept = pathlib.Path(file)
    assert "distributed service detected fatal errors" in kept.read_text()  # what JAX said
    kept.unlink()


@pytest.mark.slow
def test_after_a_death_the_others_end_and_the_run_goes_on(folder, unbroken):
    ends = [(1, 3, signal.SIGKILL), (0, 12, signal.SIGKILL)]
    ends += [(1, 17, signal.SIGSTOP), (0, 23, signal.SIGSTOP)]
    for victim, step, how in ends:
        processes = pair(folder, "killed")
        wait_for_step(folder, "killed", step)
        processes[victim].send_signal(how)
        assert_a_peer_is_blamed(processes[1 - victim], within=TIMEOUT + 10)
        processes[victim].kill()
        code, said = ended(processes[victim])
        assert code == -signal.SIGKILL and TOLD not in said
    alone(folder, "killed", devices=2)  # in one process: its devices are what two had
    assert state_bits(folder, "killed") == unbroken[1]
    assert lines(folder / "killed") == unbroken[0]


@pytest.mark.slow
def test_a_signal_stops_all_and_one_device_goes_on(folder, unbroken):
    # Of four devices in use three are of one process: a pair of columns has one of each.
    both = {"mesh__data": 2, "mesh__group": 2, "data__resident": "off"}
    processes = pair(folder, "stopped", devices=3, **both)
    wait_for_step(folder, "stopped", 7)  # the first validation was after 6
    processes[1].send_signal(signal.SIGTERM)
    for process in processes:
        code, said = ended(process)
        assert code == 128 + signal.SIGTERM, said
        assert "stopped by SIGTERM: saved at step" in said.splitlines()[-1]
    stopped_at = len([line for line in lines(folder / "stopped") if line["split"] == "train"])
    assert 7 <= stopped_at < STEPS
    of_both = [line for line in lines(folder / "stopped") if line["split"] == "val"]
    expected = [line for line in unbroken[0] if line["split"] == "val"][: len(of_both)]
    for one, other in zip(
        of_both, expected, strict=True
    ):  # each process had its part of each batch
        assert one["images"] == other["images"] == tiny.VALIDATION  # which no batch divides
        for name in ("loss", "top1_error", "top5_error"):
            assert one[name] == pytest.approx(other[name], rel=1e-5)
    alone(folder, "stopped", devices=1)
    got, expected = lines(folder / "stopped"), unbroken[0]
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    for one, other in zip(got, expected, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("only", [0, 1], ids=["peers", "coordinator"])
def test_processes_that_never_come(folder, only):
    (process,) = pair(folder, "lonely", count=3, only=only)
    # Some of the time is the start of the program.
    assert_a_peer_is_blamed(process, within=TIMEOUT + 25)
    assert not (folder / "lonely").exists()


@pytest.mark.slow
def test_a_process_with_another_seed_is_refused(folder):
    """It would train its column with other masks, and nothing would notice."""
    first, second = pair(folder, "unlike", later=["--config.seed=5"])
    code, said = ended(second)
    refused = "process 0 of this run has another config or other packages (seed: 0, here 5): "
    assert code == 2 and said.splitlines()[-1].startswith(f"error: {refused}"), said
    assert_a_peer_is_blamed(first, within=TIMEOUT + 10)


@pytest.mark.slow
def test_nobody_says_who_takes_part(folder):
    process = start(*flags(folder, "unknown"), "--distributed")
    code, said = ended(process)
    assert code == 2
    assert said.splitlines()[-1].startswith("error: --distributed does not know who takes part")


@pytest.mark.parametrize("coordinator", ["localhost", "localhost:", "localhost:65536", ":1"])
def test_a_coordinator_is_a_host_and_a_port(coordinator):
    with pytest.raises(ConfigError, match="^--coordinator is host:port of process 0; got 'l?"):
        distributed.start(tiny.config(pathlib.Path("nowhere")).distributed, coordinator, 1, 0)


def test_a_port_that_an_earlier_process_0_has_is_refused(monkeypatch):
    """gRPC's servers let others share their port."""

    def unused(*_, **__):
        raise AssertionError("JAX would crash here, or share the port")

    monkeypatch.setattr(jax.distributed, "initialize", unused)
    settings = tiny.config(pathlib.Path("nowhere")).distributed
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("::", 0))
        other.listen()
        port = other.getsockname()[1]
        said = f"cannot have port {port} .*in use.*: end the program .*such as an earlier process 0"
        with pytest.raises(ConfigError, match=said):
            distributed.start(settings, f"localhost:{port}", 1, 0)
    distributed._check_port(f"localhost:{port}", ours=True)


SLURM = {"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "2(x2)"}
MPI = {"OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (SLURM, None),
        (SLURM | {"SLURM_GPUS_PER_TASK": "1"}, []),
        (SLURM | {"SLURM_GPUS_PER_TASK": "1", "SLURM_GPU_BIND": "verbose,none"}, None),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "0"}, []),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "4,5"}, None),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1"}, []),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x2)"}, []),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1,2"}, None),
        (SLURM | {"SLURM_GPUS_PER_TASK": "1", "JAX_LOCAL_DEVICE_IDS": "0,1"}, None),
        (MPI, None),
        (MPI | {"CUDA_VISIBLE_DEVICES": "GPU-5f"}, []),
        (MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, []),
        (MPI | SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_GPUS_PER_TASK": "1"}, None),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if value else str(value),
)
def test_which_devices_are_a_processs_own(environment, expected):
    assert distributed.local_devices(environment) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("bound", "visible"), [({"SLURM_GPUS_PER_TASK": "1"}, "all"), ({}, "1")])
def test_slurms_gpus_as_jax_is_told_of_them(bound, visible):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    job = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "JAX_COORDINATOR_PORT": port}
    program = (
        "import jax; from alexnet_jax.system import distributed\n"
        "from tests.support import narrow_recipe\n"
        "distributed.start(narrow_recipe.get_config().distributed)\n"
        "print(jax.config.read('jax_cuda_visible_devices'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tiny.REPOSITORY,
        env={**os.environ, **job, **SLURM, "SLURM_NTASKS": "1", "SLURM_PROCID": "0", **bound},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{visible}\n"), done.stderr
