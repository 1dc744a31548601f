"""The list of ablations: every override is one that the config takes, every number has a source."""

import pytest
from rich.console import Console

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from experiments.support.recipe import read_config
from experiments.sweeps.ablations import ABLATIONS, beside, named, settings, text
from experiments.sweeps.runs import plan
from tests.support import tiny

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

CONFIGS = {
    "": f"--config={tiny.REPOSITORY}/configs/ilsvrc2012.py",
    "code2012": f"--config={tiny.REPOSITORY}/configs/ilsvrc2012_code2012.py",
}
# Errors of the released nets, ten views, and of net 145 on the same images.
ON_2012, ON_2010 = (0.406640, 0.182100), (0.374727, 0.169987)
LOGGED = {
    "net147": ((0.410580, 0.185100), ON_2012),
    "net148": ((0.420340, 0.193620), ON_2012),
    "net150": ((0.418280, 0.193300), ON_2012),
    "net145-half": ((0.391680, 0.182287), ON_2010),
}
SAME = {"pooling": "net147", "lrn": "net148", "communication": "net150", "columns": "net145-half"}


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_ablation_is_one_that_the_config_takes_and_changes_the_run(kind, tmp_path):
    ablations = [one for one in ABLATIONS if one.arch == kind]
    assert len(ablations) == len({one.name for one in ablations})
    whole, *others = plan(settings(ablations), [CONFIGS[kind]], 1, tmp_path)
    fields = [flag.partition("=")[0] for flag in whole.flags]
    assert fields == ["--config", "--config.seed", "--workdir"]
    before = read_config(whole.flags[:-1])
    for run in others:
        changed = read_config(run.flags[:-1])
        assert changed.to_dict() != before.to_dict(), run.name


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_ablation_of_the_net_makes_another_net(kind):
    before = resolving.resolve(read_config([CONFIGS[kind]]).model)
    for one in ABLATIONS:
        if one.arch in ("", kind) and all(field.startswith("model.") for field in one.overrides):
            flags = [f"--config.{field}={value}" for field, value in one.overrides.items()]
            assert resolving.resolve(read_config([CONFIGS[kind], *flags]).model) != before, one.name


def test_the_logged_deltas_are_differences_of_the_logged_errors():
    known = {one.name: one for one in ABLATIONS}
    for name, (errors, of_145) in LOGGED.items():
        deltas = [round(100 * (a - b), 2) for a, b in zip(errors, of_145, strict=True)]
        assert known[name].logged == tuple(deltas)
        assert f"{errors[0]:.6f}"[1:] in known[name].log, name
    for name, exact in SAME.items():
        assert known[name].logged == known[exact].logged
    assert {one.name for one in ABLATIONS if one.logged} == {*LOGGED, *SAME}
    assert all("paper" in one.source for one in ABLATIONS if one.paper)


def test_pooling_without_overlap_keeps_the_sizes_of_the_maps():
    for flag in CONFIGS.values():
        model = read_config([flag]).model
        (pooling,) = (one for one in ABLATIONS if one.name == "pooling")
        flags = [f"--config.{field}={value}" for field, value in pooling.overrides.items()]
        ablated = read_config([flag, *flags]).model
        sizes = [sizes_of(resolving.resolve(one)) for one in (model, ablated)]
        assert sizes[0] == sizes[1] == [27, 13, 6]


def sizes_of(net):
    from alexnet_jax.net.pooling import pooled

    size, found = 55, []
    for _ in range(3):
        size = pooled(size, net.pool)
        found.append(size)
    return found


def test_names_that_are_not_there_or_of_another_net_are_refused():
    assert [one.name for one in named(["dropout", "lrn"], "paper")] == ["dropout", "lrn"]
    with pytest.raises(ConfigError, match=r"--names takes lrn, .*; got alpha"):
        named(["lrn", "alpha"], "paper")
    with pytest.raises(ConfigError, match=r"net147 is an ablation of arch code2012, .* is paper"):
        named(["net147"], "paper")
    assert named(["net147"], "code2012")


def test_our_difference_stands_beside_the_papers():
    def figure(difference):
        return {"n": 3, "difference": difference}

    def row(top1, top5):
        return {"final_top1_error": figure(top1), "final_top5_error": figure(top5)}

    delta = {"mean": 0.0213, "low": 0.001, "high": 0.0416, "n": 3, "paired": True}
    rows = [row(None, None), row(delta, delta), row(None, None)]
    console = Console(width=160, markup=False)
    with console.capture() as captured:
        console.print(beside(named(["lrn", "colour"], "paper"), rows))
    lines = captured.get().splitlines()
    lrn, colour = (line for line in lines if "paper" in line and "without" not in line)
    assert "+2.13 [+0.10, +4.16]" in lrn and "1.4 / 1.2" in lrn and "1.37 / 1.15" in lrn
    assert "│ -" in colour and "1 / -" in colour
    assert text(None) == "-"
