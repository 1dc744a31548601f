"""experiments/bench_data.py as a user starts it: what it measures, and what it says of it."""

import json
import os
import subprocess
import sys

import tiny

FLAGS = {**tiny.FLAGS, "model.classes": 3, "batch_size": 8}


def test_the_report(tmp_path):
    tiny.write_images(tmp_path)
    values = FLAGS | {"data.dir": tmp_path / "images", "data.prepared_dir": tmp_path / "prepared"}
    done = subprocess.run(
        [
            sys.executable,
            "experiments/bench_data.py",
            "--config=configs/quickstart.py",
            *(f"--config.{name}={value}" for name, value in values.items()),
            *("--rounds=2", "--seconds=0.1", "--steps=2", "--notorch"),
        ],
        cwd=tiny.REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(tiny.REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["storage"], found["images"], found["batch"]) == ("jpeg", tiny.TRAIN, 8)
    rates = found["images_per_second"]
    names = ["decode", "loader", "transfer", "step", "training"]
    assert list(rates) == names == list(found["rounds"])
    assert all(len(values) == 2 and min(values) > 0 for values in found["rounds"].values())
    assert found["loader_to_torch_pil"] is None and found["loader_to_decode"] > 0
    assert 0 < found["training_to_step"] < 2 and found["data_wait_ms"] >= 0
    slowest = min(("loader", "transfer", "step"), key=rates.get)
    named = found["limiter"].partition(":")[0]
    assert named in {"loader": ("loader", "decode")}.get(slowest, (slowest,))
