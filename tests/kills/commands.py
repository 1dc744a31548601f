"""The commands that write, each on a tiny net and tiny pictures."""

import pathlib
import socket
from collections.abc import Callable
from typing import NamedTuple

from tests.support import tiny

RUN = {"epochs": 3, "checkpoint.every_steps": 3, "distributed.timeout_seconds": 20}
RECIPE = "--config=tests/support/narrow_recipe.py"


class Command(NamedTuple):
    name: str
    module: str
    flags: Callable[[pathlib.Path], list[list[str]]]  # of each process, in a folder that holds run/
    repeats: bool = True  # else the same command refuses once its work is done


def training(name="train", processes=1, workdir="new", host="127.0.0.1", **changes) -> Command:
    """Train in folder/workdir; `host` is that of process 0."""

    def flags(folder: pathlib.Path) -> list[list[str]]:
        values = {**RUN, **changes}
        one = tiny.run_flags(folder.parent, folder / workdir, **values)
        if processes == 1:
            return [one]
        with socket.socket() as free:
            free.bind(("", 0))
            coordinator = f"--coordinator={host}:{free.getsockname()[1]}"
        one += ["--distributed", coordinator, f"--num_processes={processes}"]
        return [[*one, f"--process_id={k}"] for k in range(processes)]

    return Command(name, "main", flags)


def on(data: int, group: int, devices: int = 2) -> dict[str, int]:
    return {"mesh.data": data, "mesh.group": group, "mesh.cpu_devices": devices}


def several(processes: int, **how) -> Command:
    """Train in processes that share each batch, on one device each."""
    return training(f"train, {processes} processes", processes, **on(processes, 1, 1), **how)


def of_run(name: str, module: str, words: str, repeats: bool = True) -> Command:
    return Command(name, module, lambda folder: [words.format(folder).split()], repeats)


def prepare_flags(folder: pathlib.Path) -> list[list[str]]:
    data = {"builder": "image_folder", "dir": folder.parent / "images", "storage": "raw"}
    data["prepared_dir"] = folder / "prepared"
    return [[RECIPE, *(f"--config.data.{name}={value}" for name, value in data.items())]]


FIRST = (
    training(workdir="run", **on(1, 1)),
    of_run("", "weights", "export --workdir={0}/run --out={0}/weights.safetensors"),
)
COMMANDS = (
    training("train 2x1", **on(2, 1)),
    several(2),
    of_run("import", "weights", "import {0}/weights.safetensors --out={0}/imported", False),
    of_run("evaluate --out", "evaluate", "--workdir={0}/run --views=10 --out={0}/out.npz"),
    of_run("figure4", "analysis.figure4", "--workdir={0}/run"),
    of_run("export", "export", "--workdir={0}/run --out={0}/net.jaxexport"),
    of_run("weights export", "weights", "export --workdir={0}/run --out={0}/a/net.safetensors"),
    of_run("features", "analysis.features", "--workdir={0}/run --out={0}/features.npz"),
    of_run("explore", "analysis.explore", "--workdir={0}/run {0}/../images/val/ant/0.jpg"),
    Command("prepare", "data.prepare", prepare_flags),
    training("train 1x1", **on(1, 1)),
    training("train 1x2", **on(1, 2)),
)
