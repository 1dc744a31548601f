"""The learning rate of a run that has begun is changed by hand, as the authors did."""

import json
import shutil

import pytest

from alexnet_jax.analysis.report.curves import curves
from alexnet_jax.analysis.report.run_record import read
from alexnet_jax.errors import CheckpointError, ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step.create import abstract_state
from alexnet_jax.system import sharding
from alexnet_jax.train import train
from tests.support import commands, tiny

AT = tiny.EPOCH_ENDS[0]  # step 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_images(tmp_path_factory.mktemp("by_hand"))


def config(folder, rate=0.01, **changes):
    of_epochs = {"schedule__kind": "epochs", "schedule__epochs": (90,)}
    return tiny.config(folder, optimizer__learning_rate=rate, **{**of_epochs, **changes})


def state_bits(folder, workdir):
    made = config(folder)
    net = resolving.resolve(made.model, 3)
    mesh = sharding.make_mesh(made.mesh, net.columns, made.batch_size)
    with Checkpoints(workdir) as checkpoints:
        return tiny.bits(checkpoints.restore(abstract_state(made, net, mesh)))


@pytest.fixture(scope="module")
def changed(folder):
    """A run whose rate was divided by ten after step 6, and what it said then."""
    workdir = folder / "changed"
    tiny.train_until_unplugged(config(folder), workdir, AT)
    train(config(folder, 0.001), workdir, from_here=True)
    return workdir


def test_it_is_as_if_the_schedule_had_dropped_the_rate(folder, changed, tmp_path):
    """The same bits as with a drop at this step: so momentum, order and masks are kept."""
    train(config(folder, schedule__epochs=(1,)), tmp_path)
    assert state_bits(folder, changed) == state_bits(folder, tmp_path)
    lines = tiny.lines(changed)
    rates = {line["step"]: line["learning_rate"] for line in lines}
    assert rates == {step: 0.01 if step <= AT else 0.001 for step in rates}
    marks = {line["step"]: line.get("by_hand_at") for line in lines}
    assert marks == {step: None if step <= AT else AT for step in marks}


def test_it_is_recorded(changed):
    changes = json.loads((changed / "checkpoints" / "learning_rates.json").read_text())
    found = [(x["step"], x["learning_rate"], x["bias_learning_rate"]) for x in changes]
    assert found == [(0, 0.01, 0.0), (AT, 0.001, 0.0)]
    assert json.loads((changed / "config.json").read_text())["optimizer"]["learning_rate"] == 0.01
    record = read(changed)
    assert record.by_hand == [(AT, 0.001)]
    assert "the learning rate was set by hand, 0.001 from step 6 on." in str(curves([record]))


@pytest.mark.parametrize("from_here", [True, False])
def test_from_then_on_the_same_command_goes_on(folder, changed, tmp_path, from_here):
    """Also from a checkpoint before the change, which is made again at its step."""
    workdir = tmp_path / "again"
    shutil.copytree(changed, workdir)
    for path in (workdir / "checkpoints").iterdir():
        if path.name.isdigit() and int(path.name) > AT:
            shutil.rmtree(path)
    if not from_here:  # nor the last one before it
        early = tmp_path / "early"
        tiny.train_until_unplugged(config(folder), early, 4)
        shutil.copy(workdir / "checkpoints" / "learning_rates.json", early / "checkpoints")
        workdir = early
    train(config(folder, 0.001), workdir, from_here=from_here)
    assert state_bits(folder, workdir) == state_bits(folder, changed)
    assert tiny.lines(workdir) == tiny.lines(changed)


def test_another_change_follows_the_first_and_a_later_drop_multiplies_it(folder, tmp_path):
    """By hand 0.02 after a drop to 0.001: the rate is 0.02, and 0.002 after the next drop."""
    drops = {"schedule__epochs": (1, 2)}
    tiny.train_until_unplugged(config(folder, **drops), tmp_path, 9)
    asked = config(folder, 0.02, optimizer__bias_learning_rate=0.04, **drops)
    train(asked, tmp_path, from_here=True)
    rates = {line["step"]: line["learning_rate"] for line in tiny.lines(tmp_path)}
    begun = max(step for step, rate in rates.items() if rate == 0.001)
    assert begun in (8, 9)  # the last checkpoint
    assert rates == {s: 0.01 if s <= 6 else 0.001 if s <= begun else 0.02 if s <= 11 else 0.002
                     for s in rates}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"optimizer__learning_rate": 0.01}, "learning_rate: 0.001 -> 0.01.*--from_here to change"),
        ({"optimizer__bias_learning_rate": 0.02}, "bias_learning_rate: 0.0 -> 0.02.*--from_here"),
    ],
)
def test_without_the_flag_the_refusal_names_it(folder, changed, changes, expected):
    made = config(folder, **{"rate": 0.001})
    made.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    before = (changed / "config.json").read_bytes()
    with pytest.raises(ConfigError, match=expected):
        train(made, changed)
    assert (changed / "config.json").read_bytes() == before


def test_other_fields_are_refused_with_it_too(folder, changed):
    with pytest.raises(ConfigError, match=r"momentum: 0.9 -> 0.5") as error:
        train(config(folder, 0.002, optimizer__momentum=0.5), changed, from_here=True)
    assert "--from_here" not in str(error.value)


def test_a_run_that_has_not_begun_has_nothing_to_change(folder, tmp_path):
    flags = tiny.run_flags(folder, tmp_path / "new", optimizer__learning_rate=0.001)
    done = commands.run("main", *flags, "--from_here")
    assert done.code == 2 and "has begun, and" in done.err and "holds none" in done.err
    assert not (tmp_path / "new" / "config.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '[{"step": 0}]', "null"])
def test_a_damaged_file_of_rates_is_one_line(folder, changed, tmp_path, text):
    workdir = tmp_path / "damaged"
    shutil.copytree(changed, workdir)
    (workdir / "checkpoints" / "learning_rates.json").write_text(text)
    with pytest.raises(CheckpointError, match="learning_rates.json cannot be read"):
        train(config(folder, 0.001), workdir)
