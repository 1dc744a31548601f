"""Rows of schedule.layers in a config, in its JSON and on the command line."""

import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError
from alexnet_jax.run import config as configs
from tests.support import tiny


def with_rows(name: str, rows) -> ConfigDict:
    config = configs.recipe(name)
    config.schedule.layers = rows
    return config


NAMES_OF_LAYERS = "conv1, conv2, conv3, conv4, conv5, fc6, fc7, fc8"
ROWS = "schedule.layers holds rows of (layer, epoch, factor), as in (('conv1', 67, 0.1),); got "


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((("conv9", 1, 0.1),), f"schedule.layers names one of {NAMES_OF_LAYERS}; got 'conv9'"),
        ((("conv6", 1, 0.1),), f"schedule.layers names one of {NAMES_OF_LAYERS}; got 'conv6'"),
        ((("conv1", 1),), ROWS + "('conv1', 1)"),
        (("conv1", 67, 0.1), ROWS + "'conv1'"),  # a row, not rows
        ((("conv1", -1, 0.1),), "schedule.layers: the epoch is a whole number; got"),
        ((("conv1", 1.5, 0.1),), "schedule.layers: the epoch is a whole number; got"),
        ((("conv1", True, 0.1),), "schedule.layers: the epoch is a whole number; got"),
        ((("conv1", 1, -0.1),), "schedule.layers: the factor is at least 0; got"),
        ((("conv1", 1, float("nan")),), "schedule.layers: the factor is at least 0; got"),
        ((("conv2", 0, 1.0), ("conv1", 1, "x")), "schedule.layers: the factor is at least 0; got"),
    ],
)
def test_rows_of_layers_that_no_run_can_have_are_one_line(rows, expected):
    made = with_rows("ilsvrc2012", rows)
    for config in (made, configs.from_json(configs.to_json(made))):
        with pytest.raises(ConfigError) as error:
            configs.check(config)
        said = str(error.value).replace("[", "(").replace("]", ")")  # as JSON has tuples
        assert said.startswith(expected) and "\n" not in said


def test_rows_may_name_the_layers_of_the_net_that_is_trained():
    configs.check(with_rows("finetune_ilsvrc2012", (("conv6", 1, 0.5), ("conv1", 0, 0))))


@pytest.mark.slow
def test_rows_come_from_a_flag():
    program = (
        "import sys; from absl import flags; from ml_collections import config_flags; "
        "c = config_flags.DEFINE_config_file('config'); flags.FLAGS(sys.argv); "
        "print(c.value.schedule.layers, c.value.data.divide_by, c.value.init_layers)"
    )
    given = [
        "--config=configs/ilsvrc2012.py",
        "--config.schedule.layers=(('conv1', 67, 0.1), ('conv1', 72, 0.0))",
        "--config.data.divide_by=(58.395, 57.12, 57.375)",
        "--config.init_layers=('conv1', 'conv2')",
    ]
    found = subprocess.run(
        [sys.executable, "-c", program, *given],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = "(('conv1', 67, 0.1), ('conv1', 72, 0.0)) (58.395, 57.12, 57.375) ('conv1', 'conv2')"
    assert found.strip() == expected
