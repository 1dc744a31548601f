"""What the doctor offers: values that are not there yet, and that help."""

import math

import pytest
from ml_collections import ConfigDict

from alexnet_jax.doctor import __main__ as command
from alexnet_jax.doctor import remedy as remedies
from alexnet_jax.run.config import recipe
from tests.support import commands


def quickstart(**changes) -> ConfigDict:
    config = recipe("quickstart")
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config


def flat(config: ConfigDict, name: str):
    for part in name.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data__divide_by": (58.4, 57.1, 57.4)},
        {"model__arch": "owt", "model__columns": 1},
        {"model__init__std__conv4": 5.0},
        {"data__divide_by": (1.0, 1.0, 2.0), "model__norm": "batch"},
    ],
)
def test_nothing_is_offered_that_holds_or_has_no_effect(changes):
    config = quickstart(**changes)
    offers = list(remedies._candidates(config))
    assert offers
    divided = tuple(config.data.divide_by) != (1.0, 1.0, 1.0)
    assert any("data.divide_by" in offer for offer in offers) == divided
    for offer in offers:
        assert all(flat(config, name) != value for name, value in offer.items())
        of_std = any(name.startswith("model.init.std") for name in offer)
        assert offer.get("model.init.form") == (
            "normal" if "owt" in str(changes) and of_std else None
        )


def test_the_weights_are_those_of_he():
    # A quarter of the width: conv2 reads 5 x 5 x 12 channels, conv3 3 x 3 x 64 of both columns,
    # fc6 3 x 3 x 64 of both; conv1 brings pixels of a deviation near 60 to about 1.
    he = list(remedies._candidates(quickstart()))[-1]
    inputs = {"conv2": 300, "conv3": 576, "conv4": 432, "fc6": 576, "fc7": 1024}
    for name, count in inputs.items():
        assert he[f"model.init.std.{name}"] == pytest.approx(math.sqrt(2 / count), rel=0.03)
    assert he["model.init.std.conv1"] == pytest.approx(math.sqrt(2 / 75) / 60, rel=0.03)


@pytest.mark.parametrize(
    ("pulls", "expected"),
    [
        ({"data.divide_by": 1.0}, "data.divide_by"),  # the first that starts
        ({"data.divide_by": 0.01}, "data.divide_by"),  # late, and nothing does better
        ({"data.divide_by": 0.01, "model.init.std.conv2": 1.0}, "model.init.std.conv2"),
        ({"data.divide_by": math.nan}, None),
    ],
)
def test_the_first_that_starts_is_offered(monkeypatch, pulls, expected):
    config = quickstart(data__divide_by=(58.0, 57.0, 57.0))

    def examine(changed):
        (pull,) = [
            pull
            for name, pull in {"": 1e-6, **pulls}.items()
            if name and flat(changed, name) != flat(config, name)
        ] or [1e-6]
        return pull, 10

    monkeypatch.setattr(remedies, "examine", examine)
    starts = {1.0: "starts", 0.01: "starts late"}
    monkeypatch.setattr(remedies, "judge", lambda pull, _: (starts.get(pull, "does not start"), ""))
    found = remedies.remedy(config)
    assert (found is None) if expected is None else (expected in found[0])


def test_the_offer_is_a_command_line_and_a_run_can_be_examined(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "examine", lambda _: ({}, 10))
    monkeypatch.setattr(command, "judge", lambda *_: ("not known to start", "why"))
    monkeypatch.setattr(command, "table", lambda _: "")
    offer = {"data.divide_by": (1.0, 1.0, 1.0), "model.init.std.conv2": 0.02}
    monkeypatch.setattr(command, "remedy", lambda _: (offer, "starts: so"))
    command.report(ConfigDict())
    words = "'--config.data.divide_by=(1.0,1.0,1.0)' --config.model.init.std.conv2=0.02"
    assert f"\ntry {words}: starts: so\n" in capsys.readouterr().out
    neither, both = (), ("--config=quickstart", "--workdir=x")
    for arguments in (neither, both):
        done = commands.run("doctor", *arguments)
        assert (
            done.code == 2
            and "give one of --config, the --workdir of a run, and --devices" in done.err
        )
    done = commands.run("doctor", f"--workdir={tmp_path}")
    assert done.code == 2 and "holds no run" in done.err
