"""Figure 1's race: which runs it makes, when they reach the target, which rate counts."""

import json

import pytest

from alexnet_jax.errors import ConfigError
from experiments.claims.figures import epochs_to_target
from experiments.support.recipe import read_config
from experiments.sweeps.figure1 import Racer, curve, draw, fastest, racers, summary
from experiments.sweeps.runs import plan
from tests.support import tiny

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

CONFIG = f"--config={tiny.REPOSITORY}/configs/cifar_figure1.py"
SLOW, FAST, TANH, SIGMOID = (
    Racer("relu", 0.001, 20),
    Racer("relu", 0.003, 20),
    Racer("tanh", 0.01, 60),
    Racer("sigmoid", 0.01, 60),
)


def points(*ends):
    """One curve for each (epoch, error): two points before it, then this one."""
    return [[(0.2, 0.8), (0.4, 0.5), end] for end in ends]


CURVES = {
    SLOW: points((9.0, 0.24), (9.2, 0.25)),
    FAST: points((6.0, 0.24), (6.4, 0.245)),
    TANH: points((40.0, 0.25), (41.0, 0.24)),
    SIGMOID: points((60.0, 0.6), (59.0, 0.25)),
}


def test_the_runs_differ_in_activation_rates_and_epochs_only(tmp_path):
    asked = racers(["relu:0.003:10", "tanh:0.01:60"])
    assert asked == [Racer("relu", 0.003, 10), TANH]
    runs = plan([racer.setting() for racer in asked], [CONFIG], 2, tmp_path)
    relu, tanh = (read_config(run.flags[:-1]).to_dict() for run in runs[:2])
    assert (tanh["model"].pop("activation"), relu["model"].pop("activation")) == ("tanh", "relu")
    assert (tanh.pop("epochs"), relu.pop("epochs")) == (60, 10)
    for made, rate in ((relu, 0.003), (tanh, 0.01)):
        assert made["optimizer"].pop("learning_rate") == rate
        assert made["optimizer"].pop("bias_learning_rate") == 2 * rate
        assert made["optimizer"]["weight_decay"] == 0  # "without regularization of any kind"
    assert relu == tanh


@pytest.mark.parametrize("text", ["relu", "relu:fast:3", "relu:0.1:3:4", "relu:0.1:3.5"])
def test_what_is_no_racer_is_refused(text):
    with pytest.raises(ConfigError, match="--race is activation:rate:epochs") as refused:
        racers([text])
    assert repr(text) in str(refused.value)
    with pytest.raises(ConfigError, match="twice"):
        racers(["relu:0.1:3", "relu:0.1:4"])


def test_a_curve_ends_with_the_first_training_error_at_the_target(tmp_path):
    (run,) = plan([FAST.setting()], [CONFIG], 1, tmp_path)
    lines = [
        {"step": step, "epoch": step / 390, "split": split, "top1_error": error}
        for step, split, error in (
            (78, "train", 0.5),
            (100, "val", 0.1),
            (101, "train", 0.2),  # of too few steps, as a run's last line may be
            (156, "train", 0.25),
            (234, "train", 0.2),
        )
    ]
    run.workdir.mkdir(parents=True)
    (run.workdir / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert curve(run) == [(0.2, 0.5), (0.4, 0.25)]


def test_the_fastest_rates_are_compared_and_drawn(tmp_path):
    assert fastest(CURVES) == {"relu": FAST, "tanh": TANH, "sigmoid": SIGMOID}
    found = summary(CURVES)
    assert found["relu"]["epochs"] == [6.0, 6.4] and found["relu"]["mean"] == pytest.approx(6.2)
    assert found["relu"]["rates"] == [0.001, 0.003]
    assert found["tanh_over_relu"] == round(40.5 / 6.2, 2) == 6.53
    assert found["sigmoid"]["not_reached_in"] == 60 and "sigmoid_over_relu" not in found
    assert epochs_to_target(found).startswith("6.5x: relu 6.2 ± 0.3 epochs at rate 0.003 (n = 2)")
    draw(CURVES, tmp_path / "figure1.svg")
    assert "<svg" in (tmp_path / "figure1.svg").read_text()


def test_rates_that_never_get_there_are_compared_by_their_last_error():
    better, worse = Racer("sigmoid", 0.1, 9), Racer("sigmoid", 1.0, 9)
    both = {worse: points((9.0, 0.7)), better: points((9.0, 0.4))}
    assert fastest(both) == {"sigmoid": better}
