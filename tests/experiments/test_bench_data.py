"""The benchmark of data as a user starts it: what it measures, and its report."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import tiny

FLAGS = {**tiny.FLAGS, "model.classes": 3, "batch_size": 8}


TORCH = """
import types

__version__, Tensor = "0.0", object

class DataLoader:
    def __init__(self, *_, **__): pass
    def __iter__(self): return self
    def __next__(self):
        raise RuntimeError("Caught in worker 0.\\nRuntimeError: No space left on device (28)\\n")
    def _shutdown_workers(self): pass

utils = types.SimpleNamespace(data=types.SimpleNamespace(Dataset=object, DataLoader=DataLoader))
"""


@pytest.mark.slow
def test_the_report(tmp_path):
    tiny.write_images(tmp_path)
    (tmp_path / "torch.py").write_text(TORCH)  # PyTorch where /dev/shm is too small for it
    (tmp_path / "torch-0.0.dist-info").mkdir()
    (tmp_path / "torch-0.0.dist-info/METADATA").write_text("Name: torch\nVersion: 0.0\n")
    values = FLAGS | {"data.dir": tmp_path / "images", "data.prepared_dir": tmp_path / "prepared"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.bench.data"),
            "--config=tests/support/narrow_recipe.py",
            *(f"--config.{name}={value}" for name, value in values.items()),
            *("--rounds=2", "--seconds=0.1", "--steps=2"),
        ],
        cwd=tiny.REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["storage"], found["images"], found["batch"]) == ("jpeg", tiny.TRAIN, 8)
    rates = found["images_per_second"]
    names = ["decode", "loader", "transfer", "step", "training"]
    assert names == list(found["rounds"])
    torchs = [f"torch_{decoder}" for decoder in ("pil", "simplejpeg")]
    assert list(rates) == [*names[:2], *torchs, *names[2:]]
    for name in torchs:
        assert rates[name] is None and found[f"loader_to_{name}"] is None
        said = f"{name} is left out: RuntimeError: No space left on device (28)\n"
        assert done.stderr.count(said) == 1
    assert all(len(values) == 2 and min(values) > 0 for values in found["rounds"].values())
    assert found["loader_to_decode"] > 0 and found["threads"] == FLAGS["data.workers"]
    # Near 1; a machine that does other work may give the two turns other cores.
    assert 0 < found["training_to_step"] < 4 and found["data_wait_ms"] >= 0
    slowest = min(("loader", "transfer", "step"), key=rates.get)
    named = found["limiter"].partition(":")[0]
    assert named in {"loader": ("loader", "decode")}.get(slowest, (slowest,))
