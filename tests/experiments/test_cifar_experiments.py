"""experiments.cifar: what is chosen, what is repeated, what goes on."""

import itertools
import json
import math
from unittest import mock

import numpy as np
import pytest

from alexnet_jax.errors import CheckpointError, TrainingError
from experiments.cifar import cuda_convnet, dataset, nets, relu_tanh
from experiments.cifar.nets import Row
from experiments.cifar.relu_tanh import Runs, fastest, summary
from experiments.cifar.training import on_device
from tests.support import tiny

LINEAR = (Row("fc10", 10, 0.0001, 0.5, active=False),)
# Epochs to the target by activation and rate; a string: it never gets there.
NEEDS = {
    ("relu", 0.1): 4.2,
    ("relu", 1.0): 2.4,
    ("relu", 10.0): "diverged",
    ("tanh", 0.1): "epochs",
    ("tanh", 1.0): 13.0,
    ("tanh", 10.0): 12.6,
    ("sigmoid", 0.1): "epochs",
    ("sigmoid", 1.0): "epochs",
    ("sigmoid", 10.0): "diverged",
}


class Planned(Runs):
    """Runs whose errors are known beforehand; keeps what was made."""

    def __init__(self, path):
        super().__init__(path, data=None)
        self.made = []

    def _learn(self, activation, rate, seed, epochs):
        self.made.append((activation, rate, seed, epochs))
        need = NEEDS[activation, rate]
        if need == "diverged":
            return [0.9, math.nan], "diverged"
        if need != "epochs" and need + 0.2 * seed <= epochs:
            return [0.5] * round(5 * need + seed - 1) + [0.2], "reached"
        return [0.5] * (5 * epochs), "epochs"


RATES = [0.1, 1.0, 10.0]


def test_the_fastest_rate_is_found_and_slower_ones_are_given_up(tmp_path):
    runs = Planned(tmp_path / "runs.jsonl")
    best = fastest(runs, "relu", RATES, 20)
    assert (best["rate"], best["epochs"], best["end"]) == (1.0, 2.4, "reached")
    assert [made[3] for made in runs.made] == [20, 5, 3]  # no longer than the fastest so far
    assert fastest(runs, "tanh", RATES, 20)["rate"] == 10.0
    assert fastest(runs, "sigmoid", RATES, 20)["end"] == "epochs"
    again = Planned(tmp_path / "runs.jsonl")  # another process
    for activation in ("relu", "tanh", "sigmoid"):
        assert fastest(again, activation, RATES, 20) == fastest(runs, activation, RATES, 20)
    assert again.made == []
    fastest(again, "sigmoid", RATES, 30)  # more epochs than they had; what diverged did so
    assert again.made == [("sigmoid", 0.1, 0, 30), ("sigmoid", 1.0, 0, 30)]


def test_the_ratio_is_of_mean_epochs_and_the_grids_edge_is_told(tmp_path):
    runs = Planned(tmp_path / "runs.jsonl")
    chosen = {}
    for activation in ("relu", "tanh", "sigmoid"):
        best = fastest(runs, activation, RATES, 20)
        seeds = (1, 2) if best["end"] == "reached" else ()
        chosen[activation] = [best, *(runs.of(activation, best["rate"], s, 20) for s in seeds)]
    found = summary(chosen, RATES)
    assert found["relu"]["epochs"] == [2.4, 2.6, 2.8] and found["relu"]["mean"] == pytest.approx(
        2.6
    )
    assert found["relu"]["sd"] == pytest.approx(0.2)
    assert not found["relu"]["rate_is_at_the_edge"] and found["tanh"]["rate_is_at_the_edge"]
    assert found["tanh_over_relu"] == round((12.6 + 12.8 + 13.0) / 3 / 2.6, 2)
    assert found["sigmoid"]["not_reached_in"] == 20 and "sigmoid_over_relu" not in found
    relu_tanh.draw(chosen, tmp_path / "figure1.svg")
    assert "<svg" in (tmp_path / "figure1.svg").read_text()


@pytest.fixture
def linear(monkeypatch):
    """Both experiments on a matrix, which compiles in no time, and pictures it can tell apart."""
    monkeypatch.setitem(nets.NETS, "80sec", LINEAR)
    monkeypatch.setitem(nets.NETS, "18pct", LINEAR)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 640).astype(np.int32)
    images = rng.integers(0, 30, (640, 32, 32, 3)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 * label : 3 * label + 3] += 200  # a stripe of its own for each class
    split = dataset.Split(images, labels)
    return on_device(split, split.mean())


def test_a_run_stops_at_the_target_or_where_it_is_not_finite(linear, tmp_path):
    runs = Runs(tmp_path / "runs.jsonl", linear)
    errors, end = runs._learn("relu", 1e-5, 0, 50)
    assert end == "reached" and errors[-1] <= relu_tanh.TARGET < min(errors[:-1])
    assert runs._learn("relu", 1e35, 0, 50)[1] == "diverged"
    assert runs._learn("relu", 0.0, 0, 2)[1] == "epochs"


def test_a_run_to_the_target_goes_on_from_its_last_epoch(linear, tmp_path):
    rate, made = 1e-9, relu_tanh.train
    whole = Runs(tmp_path / "whole" / "runs.jsonl", linear).of("tanh", rate, 0, 3)
    assert (whole["end"], whole["epochs"]) == ("epochs", 3.0)
    cut = Runs(tmp_path / "cut" / "runs.jsonl", linear)
    parts = itertools.count()

    def until_killed(*arguments):
        if next(parts) == 7:  # in the second epoch
            raise KeyboardInterrupt
        return made(*arguments)

    with mock.patch.object(relu_tanh, "train", until_killed), pytest.raises(KeyboardInterrupt):
        cut.of("tanh", rate, 0, 2)
    assert cut.done.lines == []
    with mock.patch.object(relu_tanh, "train", wraps=made) as again:
        assert cut.of("tanh", rate, 0, 2)["errors"] == whole["errors"][:10]
        assert again.call_count == 5  # the second epoch whole
        assert cut.of("tanh", rate, 0, 3) == whole
        assert again.call_count == 10
    saved = tmp_path / "cut" / "tanh_1e-09_0.npz"
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        cut.of("tanh", rate, 0, 4)


def test_what_has_ended_keeps_no_state(linear, tmp_path):
    runs = Runs(tmp_path / "runs.jsonl", linear)
    assert runs.of("relu", 1e-5, 0, 50)["end"] == "reached"
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_a_run_that_was_killed_goes_on_to_the_same_bits(linear, tmp_path):
    def run(name, rates, seed=0):
        return cuda_convnet.Run(tmp_path / name, "80sec", rates, seed)

    rates = [1e-5, 1e-5, 1e-6]
    whole = run("whole", rates)
    lines = whole.go(linear, linear)
    assert [line["epoch"] for line in lines] == [1, 2, 3] and [
        line["rate"] for line in lines
    ] == rates
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    run("cut", rates[:2]).go(linear, linear)
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as log:
        log.write('{"epoch": 3, "of a process that was killed": 1}\n')
    cut = run("cut", rates)
    gone_on = cut.go(linear, linear)
    timeless = [[{**line, "seconds": 0} for line in found] for found in (lines, gone_on)]
    assert timeless[0] == timeless[1]
    assert tiny.bits(cut.restore()[0]) == tiny.bits(whole.restore()[0])
    assert cut.restore()[1] == 3
    log = (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in log] == gone_on
    with pytest.raises(CheckpointError, match="other rates"):
        run("cut", [1e-5, 1e-6, 1e-6]).go(linear, linear)
    (tmp_path / "cut" / "state.npz").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run("cut", rates).go(linear, linear)


def test_a_loss_that_is_not_finite_stops_and_saves_nothing(linear, tmp_path):
    run = cuda_convnet.Run(tmp_path / "bad", "80sec", [1e35], 0)
    with pytest.raises(TrainingError, match="not finite in epoch 1"):
        run.go(linear, linear)
    assert not (tmp_path / "bad" / "state.npz").exists()


def test_rates_are_those_of_the_parameter_files():
    whole = cuda_convnet.rates("18pct", 1.0)
    assert whole == [0.001] * 120 + [0.0001] * 10 + [0.00001] * 10
    assert cuda_convnet.rates("80sec", 1.0) == [0.001] * 8 + [0.0001] * 2
    assert cuda_convnet.rates("18pct", 0.1) == [0.001] * 12 + [0.0001] + [0.00001]


def test_recompressed_pictures_are_runs_of_their_own(tmp_path, monkeypatch, capsys):
    split = dataset.Split(
        np.full((20, 32, 32, 3), 90, np.uint8), np.arange(20, dtype=np.int32) % 10
    )
    monkeypatch.setattr(dataset, "read", lambda _: (split, split))
    line = {"epoch": 1, "train_error": 0.5, "test_error": 0.25}
    monkeypatch.setattr(cuda_convnet.Run, "go", lambda *_: [line])
    for recompress in (False, True):
        given = {
            "net": "80sec",
            "out": str(tmp_path),
            "data_dir": "x",
            "seeds": ["0"],
            "scale": 1.0,
        }
        asked = mock.Mock(**given, recompress=recompress)
        with mock.patch.object(cuda_convnet.flags, "FLAGS", asked):
            cuda_convnet.main([])
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}{end}"
        for name in ("80sec", "80sec_recompressed")
        for end in ("_0", ".svg", ".json")
    }
    assert [json.loads(x)["recompressed"] for x in capsys.readouterr().out.splitlines()] == [0, 1]
