"""A run's folder: its config, its environment, and which run may continue in it."""

import collections
import contextlib
import copy
import fcntl
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

import jax
from ml_collections import ConfigDict

from alexnet_jax.errors import CheckpointError, ConfigError
from alexnet_jax.run import by_hand
from alexnet_jax.run import config as configs
from alexnet_jax.system.atomic_file import make_folder, unwritable, write_atomic
from alexnet_jax.system.cores import cores
from alexnet_jax.system.json_text import parse_json
from alexnet_jax.system.paths import user_path

REPORT_FILE = "report.html"
LOCK_FILE = ".training"
MEAN_FILE = "mean_image.npy"  # a copy of data.mean_file, where the config has one
# Settings of JAX, from its variables in the environment, that change what a run computes.
SETTINGS = (
    "jax_enable_x64",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_disable_jit",
    "jax_optimization_level",
    "jax_exec_time_optimization_effort",
)
COMPUTING = ("jax", "jaxlib", "flax", "optax", "numpy", "simplejpeg")  # bits depend on them
PACKAGES = (*COMPUTING, "orbax-checkpoint")


def check_run(workdir: pathlib.Path, config: ConfigDict, from_here: bool = False) -> None:
    """Refuse a folder in which another run has begun.

    Args:
      config: the one to go on with.
      from_here: the run's learning rates may be others from here on (by_hand.py).

    Raises:
      ConfigError: that run's config differs in a field that a resumed run may not change; or there
        is no run whose learning rates could be changed.
      CheckpointError: its config.json cannot be read.
    """
    written = (workdir / "config.json").exists()
    begun = read_config(workdir) if written else None
    if begun is None or not _has_begun(workdir, begun):
        if from_here:
            raise ConfigError(
                f"--from_here changes the learning rate of a run that has begun, and {workdir} "
                "holds none: leave it out, or give that run's --workdir"
            )
        return
    rates = by_hand.Rates(checkpoints_of(workdir, config))
    different = configs.differences(rates.latest(begun), config)
    only_rates = {line.partition(":")[0] for line in different} <= set(by_hand.FIELDS)
    if different and only_rates and from_here:
        rates.begin(begun)
    elif different:
        how = "--from_here to change the learning rate from here on, " if only_rates else ""
        raise ConfigError(
            f"{workdir} holds a run with another config ({'; '.join(different)}): "
            f"give its values again to go on with it, {how}or another --workdir to begin anew"
        )


def checkpoints_of(workdir: pathlib.Path, config: ConfigDict) -> pathlib.Path:
    """Return the folder of a run's checkpoints."""
    return user_path(configs.flattened(config).get("checkpoint.dir") or workdir / "checkpoints")


def as_begun(workdir: pathlib.Path, config: ConfigDict) -> ConfigDict:
    """Return the config with data.held_out as the run in this folder has it, if one has begun.

    Else the same command would go on with other images when the default has changed.

    Raises:
      CheckpointError: its config.json cannot be read.
    """
    if not (workdir / "config.json").exists():
        return config
    before = read_config(workdir)
    if before.data.held_out == config.data.held_out or not _has_begun(workdir, before):
        return config
    config = copy.deepcopy(config)
    config.data.held_out = before.data.held_out
    return config


def _has_begun(workdir: pathlib.Path, config: ConfigDict) -> bool:
    """Whether a run has a checkpoint or a line in its log, and not only its config."""
    checkpoints = checkpoints_of(workdir, config)
    log = workdir / "metrics.jsonl"
    logged = log.exists() and log.stat().st_size > 0  # it is empty before the first step
    return logged or any(path.name.isdigit() for path in checkpoints.glob("*"))


def write_run(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Write config.json and environment.json; make the folder if it is missing.

    Raises:
      ConfigError: a file cannot be written.
    """
    write_atomic(workdir / "config.json", configs.to_json(config), ConfigError)
    text = json.dumps(environment(), indent=2) + "\n"
    write_atomic(workdir / "environment.json", text, ConfigError)


def other_machine(workdir: pathlib.Path) -> str | None:
    """Return a warning if a run continues where its last bits may differ, else None.

    Call it before `write_run`, which overwrites environment.json.
    """
    try:
        before = parse_json((workdir / "environment.json").read_bytes())
        before = _what_bits_depend_on(before)
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    now = _what_bits_depend_on(environment())
    names = [*COMPUTING, "devices", "matmul_precision", "xla_flags", *SETTINGS]
    if jax.default_backend() == "cpu":
        names += ["cores", "vector_bits"]
    differ = [
        f"{name}: {before[name]!r}, now {now[name]!r}"
        for name in names
        if before.get(name) is not None and before[name] != now[name]
    ]
    if not differ:
        return None
    return (
        f"this run goes on in another environment ({'; '.join(differ)}): from here on its numbers "
        "may differ in their last bits from those of a run that was never stopped"
    )


def _what_bits_depend_on(environment: dict) -> dict:
    """Return an environment with its settings and versions, and how many devices of each kind."""
    parts = environment.get("jax_settings", {}), environment.get("packages", {})
    kinds = sorted(collections.Counter(environment.get("devices", [])).items())
    devices = ", ".join(f"{count} {kind}" for kind, count in kinds) or None
    return {**environment, **parts[0], **parts[1], "devices": devices}


@contextlib.contextmanager
def alone(workdir: pathlib.Path) -> Iterator[None]:
    """Keep other processes from training in the folder, if its disk supports locks.

    The kernel holds the lock and releases it when the process ends, however that happens.

    Raises:
      ConfigError: another process trains there, or the folder cannot be made.
    """
    try:
        make_folder(workdir)
        file = (workdir / LOCK_FILE).open("ab+", buffering=0)
    except OSError as error:
        raise ConfigError(unwritable(workdir, error)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f" ({socket.gethostname()}:{os.getpid()})".encode())
        except BlockingIOError:
            file.seek(0)
            which = file.read().decode(errors="replace")
            raise ConfigError(
                f"another process{which} trains in {workdir}: wait for it or stop it, or give "
                "another --workdir; the processes of one run need --distributed"
            ) from None
        except OSError:
            pass  # a disk without locks, or a full one
        yield


def read_config(workdir: pathlib.Path, *, as_it_is: bool = False) -> ConfigDict:
    """Return the config of the run in this folder.

    Args:
      as_it_is: leave out fields that the run's version of the program did not have; else they are
        set to what that version did.

    Raises:
      CheckpointError: there is no run, or no run of this version can have its config.json.
    """
    path = workdir / "config.json"
    try:
        config = configs.from_json(path.read_text())
        if as_it_is:
            return config
        config = configs.complete(config)
        configs.check(config)
        return config
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{workdir} holds no run: {path} is not there") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; fix that") from error
    except (UnicodeDecodeError, ConfigError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}; restore it from a copy, or take the version of the "
            "program that wrote it, whose commit is in environment.json"
        ) from error


def data_of(workdir: pathlib.Path, config: ConfigDict) -> ConfigDict:
    """Return config.data; its mean_file is the copy in the run's folder, where there is one."""
    data = config.copy_and_resolve_references().data
    if (workdir / MEAN_FILE).is_file():
        data.mean_file = str(workdir / MEAN_FILE)
    return data


def environment() -> dict:
    """Return versions, devices, host and commit."""
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cores": cores(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        "processes": jax.process_count(),
        # "default" is TF32 on recent GPUs
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",  # type: ignore[attr-defined]
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax_settings": {name: str(getattr(jax.config, name, None)) for name in SETTINGS},
        "vector_bits": _vector_bits(),
        "command": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _commit(),
    }


def _vector_bits() -> int | None:
    """Return the width of the processor's vectors, 128, 256 or 512; None: not known."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    flags = set(re.findall(r"\w+", next(iter(re.findall(r"^flags\s*:(.*)$", text, re.M)), "")))
    if not flags:
        return None
    return 512 if "avx512f" in flags else 256 if "avx2" in flags else 128


def _commit() -> str | None:
    """Return the source's commit, marked "dirty" after changes; None outside a clone."""
    here = pathlib.Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
