"""Which fields change nothing, and that those that count are not named."""

import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.run import config as configs
from alexnet_jax.run.config import flattened, idle
from alexnet_jax.system import recipes


def recipe(name: str, changes: dict):
    """Return a recipe's config with changes as a command line makes them."""
    config = configs.recipe(name)
    config.update_from_flattened_dict(changes)
    return config


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule.kind": "epochs", "schedule.factor": 0.2, "schedule.epochs": (3,)}, []),
        ({"schedule.kind": "dexp", "schedule.factor": 0.2}, ["schedule.factor=0.2", "plateau or"]),
        ({"schedule.kind": "epochs", "schedule.patience": 9}, ["schedule.patience=9", "plateau,"]),
        ({"schedule.epochs": (3,)}, ["schedule.epochs=[3]", "kind is epochs, not plateau"]),
        ({"model.norm": "batch"}, []),
        ({"model.norm": "batch", "model.lrn.enabled": False}, ["model.lrn.enabled=False", "norm"]),
        ({"model.lrn.enabled": False, "model.lrn.n": 7}, ["model.lrn.n=7", "enabled is True, not"]),
        ({"model.lrn.n": 7, "model.lrn.k": 1.0}, []),
        ({"model.columns": 1, "model.cross_columns": False}, ["model.cross_columns", "is 2, not"]),
        ({"model.arch": "owt", "model.init.std.conv1": 0.1}, ["model.init.std", "normal"]),
        ({"data.colour": False, "data.colour_std": 0.2}, ["data.colour_std=0.2", "True, not"]),
        ({"data.colour": True, "data.colour_std": 0.2}, []),
        (
            {"data.crop": False, "data.crop_form": "resized"},
            ["data.crop_form=resized", "data.crop"],
        ),
        ({"data.mean": "channel", "data.mean_file": "m.npy"}, ["data.mean_file", "centre_file"]),
        ({"data.builder": "shapes", "data.dir": "/here"}, ["data.dir=/here", "tiny_imagenet, not"]),
        # predict and evaluate --data_dir look at them
        ({"data.builder": "shapes", "data.resize": "warp", "data.max_bad_fraction": 0.1}, []),
        ({"data.builder": "image_folder", "data.release": "2010"}, []),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_a_field_that_nothing_looks_at_is_named_with_its_reason(changes, expected):
    found = idle(recipe("ilsvrc2012", changes), changes)
    assert len(found) == bool(expected)
    assert all(part in line for line in found for part in expected)
    assert all("changes nothing: it counts where" in line for line in found)


@pytest.mark.parametrize(
    ("name", "field", "value", "lacks"),
    [
        ("cifar18", "model.dropout.rate", 0.3, "dropout"),
        ("cifar18", "model.lrn.enabled", False, "norm"),
        ("cifar26", "model.init.std.conv4", 0.1, "conv4"),
        ("cifar26", "model.init.bias.fc6", 0.1, "fc6"),
        ("cifar26", "model.init.std.fc7", 0.2, ""),
        ("tiny_imagenet", "model.dropout.rate", 0.3, ""),
        ("tiny_imagenet", "model.lrn.enabled", False, ""),
    ],
)
def test_a_field_of_what_the_net_does_not_have_is_named(name, field, value, lacks):
    found = idle(recipe(name, {field: value}), [field])
    said = f"{field}={value} changes nothing: arch {name} has no {lacks}"
    assert found == ([said] if lacks else [])


def test_a_field_of_a_dropped_layer_is_named():
    changes = {"model.drop_layers": "fc6,fc7", "model.init.std.fc6": 0.1, "model.dropout.rate": 0.3}
    found = idle(recipe("ilsvrc2012", changes), changes)
    assert [line.rpartition(" ")[2] for line in found] == ["dropout", "fc6"]


@pytest.mark.parametrize("name", recipes.names())
def test_what_a_recipe_changes_counts(name):
    before, after = flattened(recipe("ilsvrc2012", {})), flattened(recipe(name, {}))
    own = [field for field, value in after.items() if value != before[field]]
    assert idle(recipe(name, {}), own) == []


def test_a_config_that_no_run_can_have_is_refused_first():
    changes = {"schedule.kind": "cosine", "schedule.patience": 9}
    with pytest.raises(ConfigError, match="schedule.kind is one of"):
        idle(recipe("ilsvrc2012", changes), changes)
