"""Do one run of the miniature: train, look at the test set once, write the run's record.

    python -m experiments.miniature.one --config=miniature ... --workdir=OUT/runs/NAME

It takes the flags of alexnet_jax.main. A run whose flags have config.init_from trains that net
first, on the source's classes. What is done already is not repeated.
"""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from alexnet_jax.inference import predictions
from alexnet_jax.inference.ensemble import ranks
from experiments.miniature import layout, neighbours
from experiments.miniature.protocol import BASELINE

# The source has three times as many classes: two thirds of the epochs are twice as many updates.
PRETRAINING = ("--config.epochs=16", "--config.schedule.epochs=(10,14,15)")
FROM = "--config.init_from="


def one(flags: list[str]) -> None:
    """Do the run that these flags of alexnet_jax.main describe."""
    workdir = pathlib.Path(value(flags, "--workdir="))
    out = workdir.parents[1]
    if pretrained := [flag.removeprefix(FROM) for flag in flags if flag.startswith(FROM)]:
        _train(_pretraining(flags, out, pretrained[0]))
    _train(flags)
    for split, views in layout.LOOKS:
        kept = layout.kept(workdir, split, views)
        if not kept.exists():
            do(
                "alexnet_jax.evaluate",
                f"--workdir={workdir}",
                f"--data_dir={out / layout.PICTURES / split}",
                f"--views={views}",
                "--checkpoint=latest",
                f"--out={kept}",
            )
    if not (workdir / "analysis" / "colour.json").exists():
        do("alexnet_jax.analysis.colour", f"--workdir={workdir}", "--checkpoint=latest")
    nearest = _nearest(workdir, out) if workdir.name.startswith(f"{BASELINE},") else None
    _write_record(workdir, out, nearest)


def _pretraining(flags: list[str], out: pathlib.Path, workdir: str) -> list[str]:
    kept = [f for f in flags if f.startswith(("--config=", "--config.data.prep", "--config.seed"))]
    data = f"--config.data.dir={out / layout.PICTURES / 'source'}"
    return [*kept, data, *PRETRAINING, f"--workdir={workdir}"]


def _train(flags: list[str]) -> None:
    do("alexnet_jax.main", *flags)


def do(module: str, *flags: str) -> None:
    """Run a command to its end. SIGTERM reaches it, and the lock of the folder is its too."""
    child = subprocess.Popen([sys.executable, "-m", module, *flags], close_fds=False)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    if code := child.wait():
        sys.exit(code if code > 0 else 128 - code)


def _nearest(workdir: pathlib.Path, out: pathlib.Path) -> dict[str, float]:
    """Return how often the nearest training image has the right class, by fc7 and by pixels."""
    flags = (f"--workdir={workdir}", "--checkpoint=latest")
    test, train = workdir / "fc7_test.npz", workdir / "fc7_train.npz"
    for file, more in (
        (test, f"--data_dir={out / layout.PICTURES / 'test'}"),
        (train, "--split=train"),
    ):
        if not file.exists():
            do("alexnet_jax.analysis.features", *flags, more, f"--out={file}")
    by_fc7 = neighbours.by_features(test, train)
    return {"fc7": by_fc7, "pixels": neighbours.by_pixels(out / layout.PICTURES)}


def _write_record(
    workdir: pathlib.Path, out: pathlib.Path, nearest: dict[str, float] | None
) -> None:
    """Copy what the record keeps of a run; the folder appears when it is whole."""
    folder = out / layout.RECORDS / workdir.name
    half = folder.with_name(f"{folder.name}.incomplete")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl"):
        text = (workdir / name).read_text().replace(f"{out.absolute()}", "OUT")
        (half / name).write_text(text.replace(f"{out}", "OUT"))
    environment = json.loads((workdir / "environment.json").read_text())
    colour = json.loads((workdir / "analysis" / "colour.json").read_text())
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": environment["cores"],
        "vector_bits": environment["vector_bits"],
        "packages": environment["packages"],
        "devices": environment["devices"],
        "colour": {
            name: colour[name] for name in ("columns", "difference", "difference_by_chance")
        },
        **({"nearest": nearest} if nearest else {}),
        "looks": [_look(workdir, split, views) for split, views in layout.LOOKS],
    }
    (half / layout.RESULT).write_text(json.dumps(result, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)


def _look(workdir: pathlib.Path, split: str, views: int) -> dict:
    """Return a split's errors, and the rank of each image's class, one hexadecimal digit each."""
    kept = predictions.load(layout.kept(workdir, split, views))
    rank = ranks(kept.probabilities[0], kept.labels)
    return {
        "split": split,
        "views": views,
        "images": len(rank),
        "top1_error": float(np.mean(rank >= 1)),
        "top5_error": float(np.mean(rank >= 5)),
        "ranks": "".join(f"{min(r, 15):x}" for r in rank),  # f: 15 or more
    }


def value(flags: Sequence[str], start: str) -> str:
    """Return the value of the flag that starts like this."""
    (value,) = [flag.removeprefix(start) for flag in flags if flag.startswith(start)]
    return value


if __name__ == "__main__":
    one(sys.argv[1:])
