"""In place of main: takes a run's flags, writes what a run writes, or fails, or waits.

Its behaviour stands in the sweep's folder: FAIL is the name of a run that fails; WAIT, a run that
goes on only when GO is there, or leaves when it is asked to. BEGAN and ENDED get a line a run.
"""

import json
import pathlib
import signal
import sys
import time

flags = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
workdir = pathlib.Path(flags["workdir"])
out, name = workdir.parent, workdir.name


def note(file: str) -> None:
    with (out / file).open("a") as lines:
        lines.write(f"{name}\n")


def named_in(file: str) -> bool:
    return (out / file).exists() and (out / file).read_text() == name


def leave(number: int, _) -> None:
    note("ASKED")
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, leave)
note("BEGAN")
while named_in("WAIT") and not (out / "GO").exists():
    time.sleep(0.02)
if named_in("FAIL"):
    print("about this one:\nerror: this one fails\n", file=sys.stderr)
    sys.exit(2)
seed = int(flags["config.seed"])
errors = [0.9, 0.5 + 0.01 * seed, 0.6 + 0.01 * seed]
if flags.get("config.model.pool.window") == "2":
    errors = [error + 0.02 + 0.001 * seed**2 for error in errors]
with (workdir / "metrics.jsonl").open("w") as lines:
    for epoch, error in enumerate(errors, start=1):
        common = {"step": epoch, "epoch": epoch, "top1_error": error, "top5_error": error / 2}
        for split in ("train", "val"):
            lines.write(json.dumps({**common, "split": split}) + "\n")
note("ENDED")
