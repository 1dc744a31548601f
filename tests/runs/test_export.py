"""The exported function, loaded where nothing of this package is, against an independent net."""

import json
import subprocess
import sys

import numpy as np
from PIL import Image

from tests.support import commands, tiny, weight_files

SIZE, NAMES = 67, ["ant", "bee", "cow"]
FAR, MIDDLE = 256 - SIZE, (256 - SIZE) // 2
PLACES = [(0, 0), (0, FAR), (MIDDLE, MIDDLE), (FAR, 0), (FAR, FAR)]
# What a user of the file has: JAX, and none of what this package brings.
ALONE = """
import sys
for name in ("alexnet_jax", "flax", "optax", "orbax", "ml_collections", "tensorflow_datasets"):
    sys.modules[name] = None
"""
KEEP = 'np.savez("answer.npz", **jax.jit(net.call)(np.load("images.npy")))'


def test_the_file_answers_without_this_package(tmp_path):
    net, tensors, mean = weight_files.drawn_run(tmp_path, tmp_path / "run")
    out = tmp_path / "new" / "alexnet.jaxexport"
    flags = [f"--workdir={tmp_path / 'run'}", f"--out={out}", "--views=10"]
    process = tiny.start(*flags, module="export")
    said, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found = json.loads(said.splitlines()[-1])
    assert found["views"] == 10 and found["bytes"] == out.stat().st_size and found["classes"] == 3
    assert json.loads((tmp_path / "new" / "alexnet.json").read_text())["classes"] == NAMES
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "alexnet.jaxexport",
        "alexnet.json",
    ]

    images = np.random.default_rng(0).integers(0, 256, (5, 256, 256, 3), np.uint8)
    np.save(out.parent / "images.npy", images)
    Image.fromarray(images[0]).save(out.parent / "cat.png")
    program = f"{ALONE}{tiny.python_in('docs/evaluate.md', 'from jax import export')}\n{KEEP}\n"
    answered = subprocess.run(
        [sys.executable, "-c", program.replace("cat.jpg", "cat.png")],
        cwd=out.parent,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    answer = np.load(out.parent / "answer.npz")
    less = images.astype(np.float32) - mean
    patches = [less[:, t : t + SIZE, f : f + SIZE] for t, f in PLACES]
    patches += [patch[:, :, ::-1] for patch in patches]
    logits = np.stack([weight_files.reference(net, tensors, patch) for patch in patches])
    assert answer["logits"].shape == (10, 5, 3)
    np.testing.assert_allclose(answer["logits"], logits, rtol=1e-3, atol=1e-4 * logits.std())
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"], shares.mean(0), rtol=1e-4)
    best = np.argsort(-shares.mean(0)[0])
    assert [line.split()[1] for line in answered.stdout.splitlines()] == [NAMES[k] for k in best]


def test_where_it_cannot_be_written_is_one_line(tmp_path):
    weight_files.drawn_run(tmp_path, tmp_path / "run")
    (tmp_path / "file").touch()
    for out, wrong in (
        ("net.bin", "ends in .jaxexport or .onnx"),
        ("file/net.jaxexport", "not be written"),
    ):
        flags = (f"--workdir={tmp_path / 'run'}", f"--out={tmp_path / out}")
        commands.assert_refused(wrong, "export", *flags)
