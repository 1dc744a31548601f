"""The loop on a tiny run: what it logs, when it validates, how it goes on, when it stops."""

import json
import math
import pathlib
import shutil
import types

import numpy as np
import pytest

from alexnet_jax import training_run
from alexnet_jax.errors import ConfigError, DataError, TrainingError
from alexnet_jax.inference import predictor
from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.restore import restore
from alexnet_jax.step import create, train_step
from alexnet_jax.system import sharding
from alexnet_jax.train import train
from tests.support import tiny
from tests.support.narrow_nets import make_arch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("data"))


def config(folder: pathlib.Path, **changes):
    return tiny.config(folder, **{"mesh__data": 1, "mesh__group": 1, **changes})


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory):
    """A whole run of three epochs: its folder, and what `train` returned."""
    workdir = tmp_path_factory.mktemp("unbroken")
    return workdir, train(config(folder), workdir)


def saved(made, workdir: pathlib.Path) -> tuple[list[int], dict[str, bytes]]:
    """Return the steps of a run's checkpoints and the bits of the latest."""
    net = resolving.resolve(made.model, 3)
    mesh = sharding.make_mesh(made.mesh, net.columns, made.batch_size)
    with Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore(create.abstract_state(made, net, mesh))
        return checkpoints.steps(), tiny.bits(state)


def contents(workdir: pathlib.Path) -> dict[str, bytes]:
    """Return the files of a run's folder but those of its checkpoints."""
    return {path.name: path.read_bytes() for path in workdir.iterdir() if path.is_file()}


def of(workdir: pathlib.Path, split: str, field: str) -> list:
    return [line[field] for line in tiny.lines(workdir) if line["split"] == split]


def test_steps_epochs_and_validations_are_those_of_42_images_by_8(unbroken):
    workdir, _ = unbroken
    assert of(workdir, "train", "step") == list(range(1, 17))  # 16 = ceil(3 * 42 / 8)
    assert of(workdir, "val", "step") == tiny.EPOCH_ENDS
    epochs = [step * 8 / 42 for step in range(1, 17)]
    np.testing.assert_allclose(of(workdir, "train", "epoch"), epochs, atol=1e-4)
    assert of(workdir, "val", "images") == [tiny.VALIDATION] * 3


def test_lines_have_these_fields_in_these_units(unbroken):
    workdir, result = unbroken
    common = {"step", "epoch", "split", "learning_rate", "loss", "top1_error", "top5_error"}
    for line in tiny.lines(workdir):
        assert line.keys() == common | (
            {"images", "conv1_colour"} if line["split"] == "val" else set()
        )
        count = 8 if line["split"] == "train" else tiny.VALIDATION
        wrong = line["top1_error"] * count  # a fraction of whole images
        assert 0 <= line["top1_error"] <= 1 and wrong == pytest.approx(round(wrong), abs=1e-6)
        assert line["top5_error"] == 0  # of three classes
        assert line["learning_rate"] == 0.01
    assert result.items() >= tiny.lines(workdir)[-1].items() and result["split"] == "val"


def test_a_line_is_the_mean_over_the_steps_since_the_last(folder, unbroken, tmp_path):
    train(config(folder, log__every_steps=4), tmp_path)
    assert of(tmp_path, "train", "step") == [4, 8, 12, 16]
    for field in ("loss", "top1_error"):
        every = np.array(of(unbroken[0], "train", field)).reshape(4, 4)
        np.testing.assert_allclose(of(tmp_path, "train", field), every.mean(1), rtol=1e-5)
    assert of(tmp_path, "val", "loss") == of(unbroken[0], "val", "loss")


def test_a_longer_run_goes_on_to_the_same_bits_and_a_finished_one_stays(folder, unbroken, tmp_path):
    told = []
    tell = lambda: told.append(tiny.lines(tmp_path)[-1])  # noqa: E731
    train(config(folder, epochs=2), tmp_path, after_validation=tell)
    assert of(tmp_path, "val", "step") == tiny.EPOCH_ENDS[:2]
    assert told == [line for line in tiny.lines(tmp_path) if line["split"] == "val"]
    result = train(config(folder, data__workers=1), tmp_path)
    made = config(folder)
    assert saved(made, tmp_path)[1] == saved(made, unbroken[0])[1]
    assert tiny.lines(tmp_path) == tiny.lines(unbroken[0])
    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert train(made, tmp_path) == result
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("was", [None, 7])
def test_a_run_that_goes_on_with_other_cores_says_so(folder, tmp_path, capsys, was):
    made = config(folder, epochs=1)
    tiny.train_until_unplugged(made, tmp_path, 4)
    assert "cores:" not in capsys.readouterr().err  # it began here
    file = tmp_path / "environment.json"
    known = json.loads(file.read_text())
    if was:
        file.write_text(json.dumps({**known, "cores": was}))
    train(made, tmp_path)
    said = f"(cores: 7, now {known['cores']}): "
    assert capsys.readouterr().err.count(said) == (1 if was else 0)
    assert json.loads(file.read_text())["cores"] == known["cores"]


def test_fewer_epochs_than_are_done_are_refused(folder, unbroken, tmp_path):
    shutil.copytree(unbroken[0], tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(TrainingError, match="epochs=1 is 6 steps, but this run has done 16"):
        train(config(folder, epochs=1), tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_images_that_are_not_there_leave_a_new_folder_without_a_config(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        train(config(tmp_path), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_another_config_is_refused_before_anything_is_touched(folder, unbroken):
    before = sorted(unbroken[0].rglob("*"))
    with pytest.raises(ConfigError, match=r"\(optimizer.learning_rate: 0.01 -> 0.02\)"):
        train(config(folder, optimizer__learning_rate=0.02), unbroken[0])
    assert sorted(unbroken[0].rglob("*")) == before


def test_rates_follow_the_schedule(folder, tmp_path):
    schedule = {"schedule__kind": "epochs", "schedule__epochs": (1, 2), "schedule__factor": 0.5}
    train(config(folder, **schedule), tmp_path)
    # The update after an epoch's end is the first with the new rate.
    assert of(tmp_path, "train", "learning_rate") == [0.01] * 6 + [0.005] * 5 + [0.0025] * 5


def test_layers_biases_and_colours_follow_their_epochs(folder, tmp_path, monkeypatch):
    compiled = []
    make = train_step.make_train_step
    monkeypatch.setattr(
        "alexnet_jax.training_loop.make_train_step",
        lambda *arguments: compiled.append(make(*arguments)) or compiled[-1],
    )
    changes = {
        "schedule__kind": "epochs",
        "schedule__epochs": (2,),
        "schedule__layers": (("conv1", 1, 0.0), ("fc8", 1, 5.0)),
        "optimizer__bias_learning_rate": 0.02,
        "optimizer__bias_drops": False,
        "data__colour_until": 1,
        "data__colour_rescale": True,
    }
    states = []
    for epochs in (1, 3):  # the second run goes on from the first
        train(config(folder, epochs=epochs, **changes), tmp_path)
        states.append(saved(config(folder, **changes), tmp_path)[1])
    assert [step._cache_size() for step in compiled] == [1, 1]
    assert of(tmp_path, "train", "learning_rate") == [0.01] * 11 + [0.001] * 5  # the weights' base
    first, last = states
    for name in first:
        if "conv1" in name and "rates" not in name:
            assert first[name] == last[name], name
        elif name.startswith((".params", ".opt_state.velocity")):
            assert first[name] != last[name], name
    found = {name: np.frombuffer(bits[-4:], np.float32)[0] for name, bits in last.items()}
    for kind, layer, rate in (
        ("weights", "conv1", 0),
        ("weights", "conv2", 0.001),
        ("weights", "fc8", 0.005),
        ("biases", "conv1", 0),
        ("biases", "conv2", 0.02),
        ("biases", "fc8", 0.02),
    ):
        assert found[f".opt_state.rates.{kind}['{layer}']"] == np.float32(rate)


def test_rate_drops_when_the_validation_error_stays(folder, tmp_path):
    # Weights this small give one answer to all images, so the error stays. The first validation
    # sets the mark, the second drops.
    train(config(folder, epochs=4, schedule__patience=1, schedule__drops=1), tmp_path)
    assert len(set(of(tmp_path, "val", "top1_error"))) == 1
    rates = of(tmp_path, "train", "learning_rate")
    np.testing.assert_allclose(rates, [0.01] * 11 + [0.001] * 10, rtol=1e-5)


def test_it_learns_three_colours(folder, tmp_path):
    std = {f"model__init__std__conv{i}": 0.1 for i in (2, 3, 4, 5)}
    fc = {f"model__init__std__fc{i}": 0.1 for i in (6, 7, 8)}
    changes = {"data__colour": False, "model__dropout__rate": 0.0, "log__every_steps": 100}
    changes["optimizer__learning_rate"] = 0.001
    result = train(config(folder, epochs=12, model__width=0.1, **std, **fc, **changes), tmp_path)
    assert result["top1_error"] <= 1 / 15 and result["loss"] < 0.5 * math.log(3)


@pytest.mark.parametrize("log_every", [1, 1000])
def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(
    folder, tmp_path, log_every
):
    # A third of the 16 steps at .01, then the rate explodes: the update after 6 steps breaks the
    # net, and the loss after 7 shows it, however seldom the log is written.
    explosion = {
        "schedule__kind": "dexp",
        "schedule__dexp_steps": 3,
        "schedule__dexp_factor": 1e-60,
    }
    made = config(folder, **explosion, log__every_steps=log_every, checkpoint__every_steps=0)
    with pytest.raises(TrainingError, match="not finite at step 7; .* step 6, is good") as error:
        train(made, tmp_path / "run")
    assert "learning_rate" in str(error.value) and "\n" not in str(error.value)
    assert all(math.isfinite(loss) for loss in of(tmp_path / "run", "train", "loss"))
    good = config(folder, epochs=1, log__every_steps=log_every, checkpoint__every_steps=0)
    train(good, tmp_path / "good")
    (steps, found), (_, expected) = saved(made, tmp_path / "run"), saved(good, tmp_path / "good")
    assert steps == [6]
    for name, bits in expected.items():  # the window: sums since the last line of the log
        assert found[name] == bits or name.startswith(".window"), name


def test_a_validation_that_gives_no_number_is_neither_logged_nor_saved(
    folder, tmp_path, monkeypatch
):
    def evaluate(*arguments):
        found = predictor.evaluate(*arguments)
        return {**found, "loss": math.nan} if int(arguments[1].step) == 11 else found

    monkeypatch.setattr("alexnet_jax.training_run.evaluate", evaluate)
    made = config(folder, checkpoint__every_steps=0)
    said = "validation loss was not finite at step 11; .* step 6, is good"
    for _ in range(2):  # the second time from step 6
        with pytest.raises(TrainingError, match=said):
            train(made, tmp_path)
        assert of(tmp_path, "val", "step") == [6] and saved(made, tmp_path)[0] == [6]


def other_classes(images: pathlib.Path) -> None:
    for split in ("train", "val"):
        (images / split / "cow").rename(images / split / "dog")


def fewer_images(images: pathlib.Path) -> None:
    next((images / "train" / "ant").iterdir()).unlink()


def another_image(images: pathlib.Path) -> None:
    shutil.copy(images / "val" / "bee" / "0.jpg", images / "train" / "ant" / "0.jpg")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_classes, r"it had 3 classes, now 3, and not the same \(cow, dog\)"),
        (fewer_images, "it had 42 to train on, now 41;"),
        (another_image, "as many to train on, but their mean is not the same"),
    ],
)
def test_a_run_does_not_go_on_with_other_images(folder, tmp_path, change, said):
    train(config(folder, epochs=1), tmp_path / "run")
    before = contents(tmp_path / "run")
    shutil.copytree(folder / "images", tmp_path / "images")
    change(tmp_path / "images")
    with pytest.raises(DataError, match=f"holds a run with other images: {said}") as error:
        train(config(tmp_path, epochs=2), tmp_path / "run")
    assert "--workdir" in str(error.value) and "\n" not in str(error.value)
    assert contents(tmp_path / "run") == before
    shutil.copytree(folder / "images", tmp_path / "elsewhere" / "images")  # the same, moved
    train(config(tmp_path / "elsewhere", epochs=2), tmp_path / "run")
    assert of(tmp_path / "run", "val", "step") == [6, 11]


@pytest.mark.parametrize(
    ("minutes", "log_every", "expected"),
    [
        (15.0, 1, [4, 6, 10, 11, 15, 16]),  # 4 steps of 4 minutes; validations after 6, 11, 16
        (7.0, 1, [2, 4, 6, 8, 10, 11, 13, 15, 16]),
        (15.0, 5, [5, 6, 10, 11, 15, 16]),  # at lines of the log only
        (0.0, 1, [6, 11, 16]),
    ],
)
def test_a_checkpoint_comes_after_some_minutes_without_one(
    folder, tmp_path, monkeypatch, minutes, log_every, expected
):
    saved, now = [], [0.0]
    monkeypatch.setattr(
        "alexnet_jax.training_run.time", types.SimpleNamespace(monotonic=lambda: now[0])
    )
    monkeypatch.setattr(Checkpoints, "save", lambda _, state, __: saved.append(int(state.step)))

    class Tick(tiny.Plug):
        def asked(self, step):
            now[0] = 240.0 * (step + 1)  # when the step that follows has been done

    every = {"checkpoint__every_steps": 0, "checkpoint__every_minutes": minutes}
    train(config(folder, **every, log__every_steps=log_every), tmp_path, interrupt=Tick(0))
    assert saved == expected


def test_a_mean_file_is_kept_in_the_runs_folder(folder, tmp_path):
    file, mean = tmp_path / "mean.npy", np.full((256, 256, 3), 117.0, np.float32)
    np.save(file, mean)
    made = config(
        folder, epochs=1, data__mean="file", data__mean_file=str(file), mesh__cpu_devices=1
    )
    train(made, tmp_path / "run")
    file.unlink()
    np.testing.assert_array_equal(restore(tmp_path / "run").pixel_stats["mean"], mean)
    np.save(file, mean + 1)
    with pytest.raises(DataError, match="data.mean_file is not what .*mean_image.npy keeps"):
        train(made, tmp_path / "run")


def test_a_loss_that_sits_at_chance_is_told_once_with_the_dead_layer(folder, tmp_path, capsys):
    std = {f"model__init__std__{name}": 0.1 for name in ("conv1", "conv2", "fc6", "fc7")}
    dead = {"model__init__std__conv4": 1e-9, "model__init__std__fc8": 1e-9}
    train(
        config(folder, log__plateau_steps=5, optimizer__learning_rate=1e-12, **std, **dead),
        tmp_path,
    )
    losses = of(tmp_path, "train", "loss")
    np.testing.assert_allclose(losses, math.log(3), rtol=0.01)
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert "ln(3) = 1.099 for 5 steps" in told and told.endswith("dead is conv4")


def test_losses_at_chance_now_and_then_are_no_plateau(folder, unbroken, tmp_path, capsys):
    losses = np.array(of(unbroken[0], "train", "loss"))
    at_chance = np.abs(losses - math.log(3)) < 0.01 * math.log(3)
    together = max(map(len, "".join("x" if x else " " for x in at_chance).split()))
    assert together < at_chance.sum()
    train(config(folder, log__plateau_steps=together + 1), tmp_path)
    assert "warning" not in capsys.readouterr().err


def test_a_dtype_that_is_slower_here_is_said():
    paper = make_arch(compute_dtype="bfloat16")
    assert "bfloat16 is slower than float32 on a CPU" in training_run._slower_here(paper, "cpu")
    assert not training_run._slower_here(paper, "gpu")
    assert not training_run._slower_here(make_arch(), "cpu")
