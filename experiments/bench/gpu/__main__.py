"""All that is to be known of a GPU, in one command: parity, rates, profile, loader, ninety epochs.

    python -m experiments.bench.gpu [--out=gpu.json] [--minutes=12]
    JAX_PLATFORMS=cpu python -m experiments.bench.gpu --smoke

Each part is a process of its own: its device memory is free when it ends, and its crash is an entry
in the record, which is written after each part. In this order: one step and 200 steps beside the
CPU's (parity.py); training and inference beside PyTorch, where it is installed (bench.step); the
profile by layer (layers.py); response normalization and pooling alone (bench.lrn_cost); loader and
copies (loader.py); the time of ninety epochs, from the rates above.

When --minutes are too few for all, the steps at some batches are left out, and the record says so.
The same command with the same --out does what is missing or failed. --smoke runs every part with a
small net and small batches. Exit code 1: the record has an error.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from alexnet_jax.errors import ConfigError, DeviceError
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import check_writable, write_atomic
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path
from experiments.bench import time_to_train
from experiments.bench.turns import REPOSITORY


@dataclasses.dataclass(frozen=True)
class Part:
    """A program of the benchmark; its last line of output is JSON.

    Attributes:
      name: in the record.
      arguments: of Python's -m.
      seconds: guessed; no part has run on a GPU yet.
      needed: whether time is kept for it, at the cost of parts that are not.
    """

    name: str
    arguments: tuple[str, ...]
    seconds: float
    needed: bool = True


def parts(smoke: bool) -> list[Part]:
    """Return the parts in their order."""
    of = "experiments.bench.{}".format
    net = ("--arch=small",) if smoke else ()
    rounds = "--rounds=1" if smoke else "--rounds=3"
    few, wide, steps = (4, 1, 3) if smoke else (16, 512, 200)
    parity = (of("gpu.parity"), f"--batch={few}", *net)
    # Of the same batch, so that the second finds its programs compiled.
    todo = [Part("parity", parity, 120), Part("loss", (*parity, f"--steps={steps}"), 90)]
    # The paper's batch first, then one that fills the device; the others if there is time.
    for batch in (4,) if smoke else (128, 1024, 256, 2048):
        for dtype in ("float32", "bfloat16"):
            calls = 1 if smoke else max(2, 4096 // batch)
            sizes = (f"--batch={batch}", f"--dtype={dtype}", f"--calls={calls}", rounds)
            timed = (of("step"), *sizes, "--nostart", *net)
            todo.append(Part(f"step_{batch}_{dtype}", timed, 90, batch == 128))
    profiled = ((4, "float32"),) if smoke else ((128, "float32"), (1024, "bfloat16"))
    for batch, dtype in profiled:
        program = (of("gpu.layers"), f"--batch={batch}", f"--dtype={dtype}", *net)
        todo.append(Part(f"layers_{batch}_{dtype}", program, 40))
    alone = (of("lrn_cost"), f"--batch={wide}", "--nonet", rounds)
    fed: tuple[str, ...] = (
        of("gpu.loader"),
        "--images=200" if smoke else "--images=1000",
        "--",
        rounds,
    )
    if smoke:
        small = {"batch_size": 4, "model.width": 0.03, "model.image_size": 67}
        fed += ("--seconds=0.1", "--steps=1", *(f"--config.{k}={v}" for k, v in small.items()))
    return [*todo, Part("lrn_and_pooling", alone, 40), Part("loader", fed, 60)]


def run(part: Part, seconds: float) -> dict:
    """Run a part for at most `seconds`; return its entry in the record."""
    environment = dict(os.environ)
    if environment.get("JAX_PLATFORMS") in ("cuda", "gpu", "rocm"):
        environment["JAX_PLATFORMS"] += ",cpu"  # with which parity.py compares
    if "layers" in part.name:  # kernels of a command buffer have no names in a profile
        more = environment.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{more} --xla_gpu_enable_command_buffer="
    begin = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", *part.arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=REPOSITORY,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            output, _ = process.communicate(timeout=seconds)
            failed = f"exit code {process.returncode}" if process.returncode else None
        except subprocess.TimeoutExpired:
            output, failed = "", f"stopped after {seconds:.0f} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError):  # those that it has started too
                os.killpg(process.pid, signal.SIGKILL)
        errors.seek(0)
        said = errors.read().strip().splitlines()
    entry: dict = {"command": list(part.arguments)}
    entry["seconds"] = round(time.monotonic() - begin, 1)
    try:
        result = json.loads(output.strip().splitlines()[-1]) if not failed else None
    except (ValueError, IndexError):
        failed = f"its output does not end with JSON: {output[-200:]!r}"
    if failed:
        return {**entry, "error": failed, "messages": said[-25:]}
    return {**entry, "result": result, "messages": said[-5:]}


def run_all(todo: list[Part], record: dict, path: pathlib.Path, end: float) -> None:
    """Run the parts that have no result in the record yet; write it after each.

    Args:
      todo: the parts.
      record: as in the file.
      path: the file.
      end: by `time.monotonic`.
    """
    for number, part in enumerate(todo):
        if "result" in record["parts"].get(part.name, {}):
            say(f"{part.name}: in the record")
            continue
        later = sum(other.seconds for other in todo[number + 1 :] if other.needed)
        whole = end - time.monotonic()
        # A part that takes too long leaves time for the others that are needed.
        left = min(whole, max(whole - later, part.seconds if part.needed else 0))
        if left < min(part.seconds / 2, 10 if part.needed else part.seconds):
            entry: dict = {"left_out": "no time: give the command again with the same --out"}
        else:
            entry = run(part, left)
        record["parts"][part.name] = entry
        record["ninety_epochs"] = ninety_epochs(record["parts"])
        write_atomic(path, json.dumps(record, indent=1) + "\n")
        reason = entry.get("error") or entry.get("left_out") or done(entry["result"])
        say(f"{part.name}: {reason} ({entry.get('seconds', 0)} s)")


def done(result: dict) -> str:
    """Return "done", and which comparisons with the CPU are beyond their limits."""
    compared = {name: found for name, found in result.items() if isinstance(found, dict)}
    beyond = [name for name, found in compared.items() if found.get("within") is False]
    return f"done, beyond the limits: {', '.join(beyond)}" if beyond else "done"


def ninety_epochs(entries: dict[str, dict]) -> dict | None:
    """Return the hours of the paper's run for each measured step, None before the first one."""
    fed = entries.get("loader", {}).get("result", {}).get("images_per_second", {})
    loader = min((fed[name] for name in ("loader", "transfer") if name in fed), default=None)
    hours = {}
    for name, entry in entries.items():
        if name.startswith("step_") and "result" in entry:
            train, infer = (
                entry["result"][kind]["images_per_second"] for kind in ("train", "inference")
            )
            hours[name] = {"hours": time_to_train.hours(train, infer, float("inf"))}
            if loader:
                hours[name]["hours_with_loader"] = time_to_train.hours(train, infer, loader)
    return {"loader_or_copy_images_per_second": loader, **hours} if hours else None


def found_by_jax() -> list[str]:
    """Return JAX's devices, from a process of its own, which gives their memory back."""
    program = (
        "import jax; print(*(f'{d.platform}:{d.device_kind}' for d in jax.devices()), sep=';')"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return asked.stdout.strip().split("\n")[-1].split(";") if asked.returncode == 0 else []


def gpu() -> str | None:
    """Return what nvidia-smi says of the device."""
    asked = "--query-gpu=name,driver_version,memory.total,clocks.max.sm"
    with contextlib.suppress(OSError):
        done = subprocess.run(
            ["nvidia-smi", asked, "--format=csv,noheader"], capture_output=True, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def define_flags() -> None:
    """Define the command line."""
    flags.DEFINE_string("out", "gpu.json", "The record: written after each part, continued.")
    flags.DEFINE_float("minutes", 12, "After which no part goes on.")
    flags.DEFINE_bool("smoke", False, "Small sizes, to see that everything works.")


def main(_) -> int:
    """Run all parts; return 1 if the record has an error."""
    path, smoke = user_path(flags.FLAGS.out), flags.FLAGS.smoke
    end = time.monotonic() + 60 * flags.FLAGS.minutes
    devices = found_by_jax()
    if not smoke and (not devices or devices[0].startswith("cpu")):
        raise DeviceError(
            f"JAX finds no GPU here (devices: {', '.join(devices) or 'none'}): install its driver "
            "and requirements-gpu.txt and look at nvidia-smi, or give --smoke"
        )
    check_writable(path)
    record = {"smoke": smoke, "gpu": gpu(), "devices": devices, "parts": {}}
    if path.exists():
        before = json.loads(path.read_text())
        if any(before.get(name) != record[name] for name in ("smoke", "devices")):
            raise ConfigError(f"{path} is of other devices or sizes: name another file with --out")
        record["parts"] = before["parts"]
    run_all(parts(smoke), record, path, end)
    return int(any("error" in entry for entry in record["parts"].values()))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
