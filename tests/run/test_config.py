"""What a config may hold, what of it decides a run's numbers, and the paper's own values."""

import copy
import dataclasses
import functools
import json
import operator

import pytest
from ml_collections import ConfigDict

from alexnet_jax.config_fields import all_fields
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import architecture, resolving
from alexnet_jax.run import config as configs
from tests.support import narrow_recipe

CLASSES = {  # of each recipe; image_folder takes what it finds
    "ilsvrc2012": 1000,
    "ilsvrc2012_code2012": 1000,
    "ilsvrc2010": 1000,
    "fall2011_pretrain": 21843,
    "finetune_ilsvrc2012": 1000,
    "caffe": 1000,
    "torchvision": 1000,
    "image_folder": 10,
    "quickstart": 10,
}
NAMES = tuple(CLASSES)

# Where and how a run computes, not what: a run goes on when these change.
FREE = {
    "epochs",
    "init_from",  # only the first start looks at them
    "init_layers",
    "model.init.scale_with_width",
    "data.dir",
    "data.held_out",
    "data.prepared_dir",
    "data.workers",
    "data.resident",
    "mesh.data",
    "mesh.group",
    "mesh.cpu_devices",
    "distributed.timeout_seconds",
    "checkpoint.dir",
    "checkpoint.every_steps",
    "checkpoint.every_minutes",
    "evaluate.batch_size",
    "log.tensorboard",
    "log.plateau_steps",
}


load = configs.recipe


def changed(config: ConfigDict, **changes) -> ConfigDict:
    new = copy.deepcopy(config)
    new.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return new


def flat(config: ConfigDict, prefix: str = "") -> dict:
    found = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_whole_and_locked(name):
    config = load(name)
    configs.check(config)
    net = resolving.resolve(config.model, 10 if config.model.classes == 0 else None)
    assert net.classes == CLASSES[name]
    assert flat(config).keys() == all_fields().keys()  # the one list of all names
    for section, field in ((config, "epoch"), (config.model, "widht"), (config.data, "path")):
        with pytest.raises((AttributeError, KeyError), match=field):
            section[field] = 1
        with pytest.raises(AttributeError, match=field):
            setattr(section, field, 1)
    with pytest.raises(TypeError):
        config.optimizer.learning_rate = "fast"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("epochs", 0, "at least 1; got 0"),
        ("batch_size", 0, "at least 1; got 0"),
        ("optimizer.learning_rate", -0.1, "at least 0; got -0.1"),
        ("optimizer.learning_rate", float("nan"), "a number; got nan"),
        ("model.lrn.beta", float("nan"), "a number; got nan"),
        ("model.lrn.alpha", -1e-4, "at least 0; got -0.0001"),
        ("optimizer.momentum", -1.0, "at least 0 and below 1; got -1.0"),
        ("optimizer.weight_decay", -1.0, "at least 0; got -1.0"),
        ("schedule.patience", 0, "at least 1; got 0"),
        ("schedule.drops", -1, "at least 0; got -1"),
        ("schedule.factor", 0.0, "above 0 and below 1; got 0.0"),
        ("schedule.factor", 1.0, "above 0 and below 1; got 1.0"),
        ("schedule.min_improvement", 0.0, "above 0 and below 1; got 0.0"),
        ("schedule.min_improvement", 1.0, "above 0 and below 1; got 1.0"),
        ("schedule.dexp_factor", 0.0, "above 0; got 0.0"),
        ("schedule.dexp_steps", 0, "at least 1; got 0"),
        ("mesh.cpu_devices", 0, "at least 1; got 0"),
        ("checkpoint.every_steps", -1, "at least 0; got -1"),
        ("evaluate.every_epochs", 0, "at least 1; got 0"),
        ("evaluate.batch_size", 0, "at least 1; got 0"),
        ("log.every_steps", 0, "at least 1; got 0"),
        ("log.plateau_steps", 0, "at least 1; got 0"),
        ("data.max_bad_fraction", -0.1, "from 0 to 1; got -0.1"),
        ("data.max_bad_fraction", 1.5, "from 0 to 1; got 1.5"),
        ("data.validation_fraction", -0.1, "from 0 to 1; got -0.1"),
        ("distributed.timeout_seconds", 4, "at least 5; got 4"),
        ("mesh.data", 0, "-1 or at least 1; got 0"),
        ("mesh.group", 3, "1, 2 or auto; got 3"),
        ("mesh.group", "both", "1, 2 or auto; got 'both'"),
        ("data.workers", -1, "at least 0; got -1"),
        ("data.colour_std", -1.0, "at least 0; got -1.0"),
        (
            "data.builder",
            "cifar",
            "one of ilsvrc, image_folder, shapes, cifar10, tiny_imagenet; got 'cifar'",
        ),
        ("data.storage", "png", "one of jpeg, raw; got 'png'"),
        ("data.resize", "crop", "one of aspect, warp; got 'crop'"),
        (
            "data.resize_filter",
            "box",
            "one of area, bilinear, lanczos, opencv_area, opencv_linear; got 'box'",
        ),
        (
            "data.mean",
            "zero",
            "one of image, centre, channel, values, file, centre_file, none; got 'zero'",
        ),
        ("data.mean_values", (1.0, 2.0), "three numbers; got [1.0, 2.0]"),
        ("data.mean_values", (1.0, 2.0, float("nan")), "three numbers; got [1.0, 2.0, nan]"),
        ("data.mean_values", ("1", "2", "3"), "three numbers; got ['1', '2', '3']"),
        ("data.divide_by", (1.0, 0.0, 1.0), "three numbers above 0; got [1.0, 0.0, 1.0]"),
        ("data.divide_by", (1.0,), "three numbers above 0; got [1.0]"),
        ("data.crop_form", "resize", "one of window, resized; got 'resize'"),
        ("data.crop_chunk", 0, "at least 1; got 0"),
        ("data.colour_until", -1, "at least 0; got -1"),
        ("optimizer.bias_learning_rate", -0.1, "at least 0; got -0.1"),
        ("optimizer.rate_form", "both", "one of inside, outside; got 'both'"),
        ("data.colour_unit", "std", "one of eigenvalue, deviation; got 'std'"),
        ("optimizer.decay_form", "l2", "one of velocity, decoupled; got 'l2'"),
        ("seed", 2**32, f"a whole number from 0 to 2**32 - 1; got {2**32}"),
        ("seed", -1, "a whole number from 0 to 2**32 - 1; got -1"),
        ("optimizer.momentum", 1.0, "at least 0 and below 1; got 1.0"),
        ("schedule.epochs", (60, "x"), "whole numbers, as in (60, 80); got [60, 'x']"),
        ("schedule.epochs", (60, -1), "whole numbers, as in (60, 80); got [60, -1]"),
        ("schedule.kind", "cosine", "one of plateau, epochs, dexp; got 'cosine'"),
        ("evaluate.views", 2, "one of 1, 5, 10; got 2"),
    ],
)
def test_what_no_run_can_have_is_refused(field, value, expected):
    with pytest.raises(ConfigError) as error:
        configs.check(changed(load("ilsvrc2012"), **{field: value}))
    assert str(error.value) == f"{field} is {expected}"


@pytest.mark.parametrize(
    ("section", "field", "value", "expected"),
    [
        (None, "batch_size", "many", "batch_size is a whole number; got 'many'"),
        ("optimizer", "momentum", None, "optimizer.momentum is a number; got None"),
        ("data", "crop", 1, "data.crop is True or False; got 1"),
        ("data", "dir", 7, "data.dir is a text; got 7"),
        ("schedule", "epochs", 7, "schedule.epochs is a tuple; got 7"),
        ("model", "width", "narrow", "model.width is a number; got 'narrow'"),
        ("data", "zoom", 2, "the config has data.zoom, which this version of the program does"),
    ],
)
def test_what_a_damaged_or_newer_file_holds_is_refused(section, field, value, expected):
    values = json.loads(configs.to_json(load("ilsvrc2012")))
    (values[section] if section else values)[field] = value
    with pytest.raises(ConfigError) as error:
        configs.check(configs.from_json(json.dumps(values)))
    assert str(error.value).startswith(expected) and "\n" not in str(error.value)


# What the version of 22 November 2026 stored in checkpoints, and called model.spec.
HASHES = {
    "ilsvrc2012": "dbac7ccd90e4aac8",
    "ilsvrc2012_code2012": "05e96921f8c41a30",
    "ilsvrc2010": "a1886a8fbb99046a",
    "fall2011_pretrain": "8453b8615dedddd3",
    "finetune_ilsvrc2012": "ab9c460bec092302",
    "caffe": "a452e6a6187e9bfa",
    "torchvision": "a2a9e59dd9513f1d",
    "image_folder": "9c0e1447dc29efb1",
    "narrow": "64525db11ba5ae99",  # the quickstart of then
}


@pytest.mark.parametrize("name", HASHES)
def test_a_run_of_an_older_version_is_still_the_same_run(name):
    recipe = narrow_recipe.get_config() if name == "narrow" else load(name)
    assert configs.fingerprint(recipe) == HASHES[name]
    values = json.loads(configs.to_json(recipe))
    values["model"]["spec"] = values["model"].pop("arch")
    older = configs.from_json(json.dumps(values))
    configs.check(older)
    assert configs.fingerprint(older) == HASHES[name]
    assert configs.differences(older, recipe) == []


def test_fields_that_came_later_are_as_the_older_version_acted(monkeypatch):
    new = load("ilsvrc2012")
    values = json.loads(configs.to_json(new))
    del values["data"]["crop_chunk"], values["log"], values["model"]["spatial_norm"]
    older = configs.from_json(json.dumps(values))
    with pytest.raises(ConfigError, match=r"the config has no data.crop_chunk, .*log.tensorboard$"):
        configs.check(older)
    completed = configs.complete(older)
    configs.check(completed)
    assert completed.is_locked and configs.flattened(completed) == configs.flattened(new)

    fields = all_fields()
    later = fields["data.crop_chunk"]._replace(before=7)  # as if it came now, and was 7 before
    monkeypatch.setattr(configs, "all_fields", lambda: fields | {"data.crop_chunk": later})
    as_it_acted = configs.complete(older)
    assert as_it_acted.data.crop_chunk == 7
    assert configs.differences(as_it_acted, new) == ["data.crop_chunk: 7 -> 1"]
    values = json.loads(configs.to_json(new))
    del values["data"]["crop_chunk"]
    stored = configs.fingerprint(configs.from_json(json.dumps(values)))  # by that version
    assert configs.fingerprint(as_it_acted) == stored
    assert configs.fingerprint(new) != stored


@pytest.mark.parametrize("width", [None, 1.0, 0.25])
def test_an_older_runs_deviations_did_not_follow_the_width(width):
    new = changed(load("ilsvrc2012"), model__width=width) if width else load("ilsvrc2012")
    values = json.loads(configs.to_json(new))
    del values["model"]["init"]["scale_with_width"]
    older = configs.from_json(json.dumps(values))
    stored = configs.fingerprint(older)  # by that version
    completed = configs.complete(older)
    assert configs.fingerprint(completed) == stored
    assert set(dataclasses.asdict(resolving.resolve(completed.model).init.std).values()) == {0.01}
    assert configs.fingerprint(new) == stored  # it goes on; only the first start draws
    assert configs.differences(completed, new) == []


@pytest.mark.parametrize("name", NAMES)
def test_json_round_trip(name):
    config = load(name)
    back = configs.from_json(configs.to_json(config))
    assert back.is_locked and back.model.is_locked
    configs.check(back)
    assert flat(back) == json.loads(json.dumps(flat(config)))  # its tuples are lists
    assert configs.differences(config, back) == []
    assert configs.fingerprint(config) == configs.fingerprint(back)
    assert json.loads(configs.to_json(config))["model"]["lrn"]["n"] is None
    classes = 10 if config.model.classes == 0 else None
    restored, original = (resolving.resolve(c.model, classes) for c in (back, config))
    for field in dataclasses.fields(architecture.Architecture):
        if field.name != "drop_layers":
            assert getattr(restored, field.name) == getattr(original, field.name)


def another(value):
    """Return a value of the same type that differs."""
    if value is None:
        return 7
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    return (*value, 99) if isinstance(value, tuple) else value + 1


def test_fingerprint_differs_where_the_numbers_would_and_only_there():
    config = load("ilsvrc2012")
    before = configs.fingerprint(config)
    assert len(before) == 16 and before == configs.fingerprint(load("ilsvrc2012"))
    fields = flat(config)
    assert fields.keys() >= FREE
    for name, value in fields.items():
        # What no flag has set yet takes any type here; from_json gives a config without types.
        other = configs.from_json(configs.to_json(config)).unlock()
        *sections, last = name.split(".")
        functools.reduce(operator.getitem, sections, other)[last] = another(value)
        assert (configs.fingerprint(other) == before) == (name in FREE), name
        assert bool(configs.differences(config, other)) == (name not in FREE), name


def test_number_of_epochs_decides_only_the_rates_that_stretch_over_the_run():
    for kind, same in (("plateau", True), ("epochs", True), ("dexp", False)):
        config = changed(load("ilsvrc2012"), schedule__kind=kind)
        longer = changed(config, epochs=91)
        assert (configs.fingerprint(config) == configs.fingerprint(longer)) == same
        assert configs.differences(config, longer) == ([] if same else ["epochs: 90 -> 91"])


def test_differences_name_each_field_and_both_values():
    old = load("ilsvrc2012")
    new = changed(old, seed=3, model__lrn__enabled=False, schedule__epochs=(1, 2), data__workers=9)
    assert configs.differences(old, new) == [
        "model.lrn.enabled: None -> False",
        "schedule.epochs: [25, 51, 79] -> [1, 2]",
        "seed: 0 -> 3",
    ]
    # A field that one of the two programs does not know.
    more = copy.deepcopy(new).unlock()
    more.model.glimpses = 4
    assert "model.glimpses: None -> 4" in configs.differences(old, more)


def test_ilsvrc2012_has_the_papers_numbers():
    config = load("ilsvrc2012")
    paper = {
        "epochs": 90,
        "batch_size": 128,
        "data.builder": "ilsvrc",
        "data.mean": "image",
        "data.resize": "aspect",
        "data.resize_filter": "area",
        "data.crop": True,
        "data.flip": True,
        "data.colour": True,
        "data.colour_std": 0.1,
        "data.colour_unit": "eigenvalue",
        "data.divide_by": (1.0, 1.0, 1.0),
        "data.crop_form": "window",
        "data.crop_chunk": 1,
        "data.colour_rescale": False,
        "data.colour_until": 0,
        "data.max_bad_fraction": 0.0,
        "model.arch": "paper",
        "optimizer.learning_rate": 0.01,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 0.0005,
        "optimizer.bias_learning_rate": 0.0,
        "optimizer.decay_biases": False,
        "optimizer.decay_form": "velocity",
        "optimizer.rate_form": "inside",
        "schedule.kind": "plateau",
        "schedule.factor": 0.1,
        "schedule.drops": 3,
        "schedule.layers": (),
        "init_from": "",
    }
    found = flat(config)
    assert {name: found[name] for name in paper} == paper
    # Of the net, the recipe changes nothing: the row of the table is the paper's.
    unset = {name for name in found if name.startswith("model.")} - {"model.arch"}
    assert [name for name in unset if found[name] is not None] == []
    net = resolving.resolve(config.model)
    assert (net.columns, net.classes, net.image_size, net.activation) == (2, 1000, 224, "relu")
    assert dataclasses.asdict(net.lrn) == {
        "enabled": True, "n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75,
        "alpha_over_n": False, "scope": "column",
    }  # fmt: skip
    assert (net.pool.window, net.pool.stride, net.dropout.rate) == (3, 2, 0.5)
    assert set(dataclasses.asdict(net.init.std).values()) == {0.01}
    biases = {layer.name: getattr(net.init.bias, layer.name) for layer in net.layers}
    ones = {name for name, bias in biases.items() if bias == 1.0}
    zeros = {name for name, bias in biases.items() if bias == 0.0}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert zeros == {"conv1", "conv3", "fc8"}
