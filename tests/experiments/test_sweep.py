"""Sweeps: the grid, runs that fail or are killed, what is made of their errors."""

import contextlib
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from rich.console import Console

from alexnet_jax.errors import ConfigError, UserError
from experiments.support import recipe
from experiments.sweeps import command, crossed, local, results, slurm
from experiments.sweeps.results import draw, figures, summary, table
from experiments.sweeps.runs import Run, Setting, grid, plan
from tests.support import tiny

# ml_collections loads a config's file in a way that Python is about to leave.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

FAKE = [sys.executable, str(tiny.REPOSITORY / "tests/support/fake_main.py")]
CONFIG = f"--config={tiny.REPOSITORY}/tests/support/narrow_recipe.py"
POOLS = ["model.pool.window=3,2"]


def planned(out: pathlib.Path, seeds: int = 2):
    settings = grid(POOLS)
    return settings, plan(settings, [CONFIG], seeds, out)


def names(path: pathlib.Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def run_all(runs, jobs: int = 1) -> dict[str, str]:
    todo = [run for run in runs if not run.finished()]
    return local.Local([{**os.environ}] * jobs, lambda _: None, FAKE)(todo)


def until(true) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_grid_is_every_combination_and_the_first_values_come_first():
    found = grid(["model.columns=2,1", "model.pool.window=3,2"])
    assert [setting.name for setting in found] == [
        "model.columns=2,model.pool.window=3",
        "model.columns=2,model.pool.window=2",
        "model.columns=1,model.pool.window=3",
        "model.columns=1,model.pool.window=2",
    ]
    assert found[1].overrides == (("model.columns", "2"), ("model.pool.window", "2"))


def test_grid_takes_values_with_commas_and_none_at_all():
    (field,) = {f.overrides for f in grid(['model.drop_layers=,"conv3,conv4"'])[1:]}
    assert field == (("model.drop_layers", "conv3,conv4"),)
    assert grid(['model.drop_layers=,"conv3,conv4"'])[0].flags() == ("--config.model.drop_layers=",)
    assert grid([]) == [Setting("base")]


@pytest.mark.parametrize(
    ("varied", "said"),
    [
        (["model.columns"], "field=value"),
        (["seed=1,2"], "--seeds"),
        (["model.columns=1,1"], "twice"),
        (["model.columns=1", "model.columns=2"], "once"),
    ],
)
def test_grid_refuses(varied, said):
    with pytest.raises(ConfigError, match=said):
        grid(varied)


def test_runs_have_a_folder_each_that_tells_setting_and_seed(tmp_path):
    runs = plan(grid(POOLS), [CONFIG, "--config.seed=5"], 2, tmp_path)
    assert [run.name for run in runs] == [
        "model.pool.window=3,seed=5",
        "model.pool.window=2,seed=5",
        "model.pool.window=3,seed=6",
        "model.pool.window=2,seed=6",
    ]
    assert runs[3].flags == (
        *(CONFIG, "--config.seed=5", "--config.model.pool.window=2", "--config.seed=6"),
        f"--workdir={tmp_path}/model.pool.window=2,seed=6",
    )
    odd = plan(grid(["data.dir=/a b/c,x"]), [CONFIG], 1, tmp_path)
    assert [run.name for run in odd] == ["data.dir=_a_b_c,seed=0", "data.dir=x,seed=0"]


@pytest.mark.parametrize(
    ("given", "varied", "said"),
    [
        (
            CONFIG,
            "model.pool.windo=3",
            "model.pool.windo=3: a name in .* is not in the config: 'windo' Did you mean",
        ),
        (
            CONFIG,
            "model.lrn.n=3,4",
            "model.lrn.n=4: model.lrn.n is an odd number of channels; got 4",
        ),
        (CONFIG, "model.lrn.n=many", "model.lrn.n=many: .*many"),
        (CONFIG, "data.dir=a/b,a_b", "one folder"),
        ("--config=nowhere.py", "model.lrn.n=3", "nowhere.py"),
    ],
)
def test_what_no_run_can_have_is_refused_before_any_begins(tmp_path, given, varied, said):
    with pytest.raises(ConfigError, match=said):
        plan(grid([varied]), [given], 1, tmp_path)


def test_one_that_fails_stops_no_other_and_only_it_is_run_again(tmp_path):
    _, runs = planned(tmp_path)
    (tmp_path / "FAIL").write_text(runs[1].name)
    failed = run_all(runs, jobs=2)
    assert list(failed) == [runs[1].name]
    output = f"{runs[1].workdir}/output.txt"
    assert failed[runs[1].name] == f"exit code 2: error: this one fails (see {output})"
    assert sorted(names(tmp_path / "ENDED")) == sorted(run.name for run in runs if run != runs[1])
    (tmp_path / "FAIL").unlink()
    assert run_all(runs) == {}
    assert sorted(names(tmp_path / "BEGAN")) == sorted([*(run.name for run in runs), *failed])
    assert all(run.finished() for run in runs) and run_all(runs) == {}
    (more,) = [run for run in planned(tmp_path, seeds=3)[1] if not run.finished()][:1]
    assert more.seed == 2


def test_other_flags_are_not_finished(tmp_path):
    _, runs = planned(tmp_path, seeds=1)
    run_all(runs)
    longer = plan(grid(POOLS), [CONFIG, "--config.epochs=9"], 1, tmp_path)
    assert longer[0].workdir == runs[0].workdir and not longer[0].finished()


def test_a_changed_recipe_is_not_finished(tmp_path):
    recipe = tmp_path / "mine.py"
    recipe.write_text("from tests.support.narrow_recipe import get_config\n")

    def again():
        return plan(grid(POOLS), [f"--config={recipe}"], 1, tmp_path / "out")

    assert run_all(again()) == {} and all(run.finished() for run in again())
    recipe.write_text(
        "from tests.support import narrow_recipe\n"
        "def get_config():\n    config = narrow_recipe.get_config()\n"
        "    config.batch_size = 32\n    return config\n"
    )
    assert not any(run.finished() for run in again())


def test_the_best_of_equal_validations_is_the_one_whose_checkpoint_is_kept(tmp_path):
    _, (run, _) = planned(tmp_path, seeds=1)
    run.workdir.mkdir()
    rows = zip((1, 2, 3, 4), (0.3, 0.2, 0.2, 0.25), (0.1, 0.15, 0.12, 0.1), strict=True)
    lines = [{"split": "val", "step": s, "top1_error": a, "top5_error": b} for s, a, b in rows]
    (run.workdir / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    assert figures(run)["best_top5_error"] == 0.12


DRIVER = """
import os, pathlib, sys
config, vary, out, *fake = sys.argv[1:]
from experiments.sweeps.local import Local
from experiments.sweeps.runs import grid, plan
from alexnet_jax.system.interrupt import stop_at_once
stop_at_once()
Local([{**os.environ}], print, fake)(plan(grid([vary]), [config], 2, pathlib.Path(out)))
"""


@contextlib.contextmanager
def a_sweep_that_waits_in(run, out):
    """Start a sweep in a process of its own; give it when `run` has begun, and waits."""
    out.mkdir(exist_ok=True)
    (out / "WAIT").write_text(run.name)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, CONFIG, *POOLS, str(out), *FAKE],
        cwd=tiny.REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: run.name in names(out / "BEGAN"))
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def test_killed_half_way_it_finishes_without_repeating(tmp_path):
    _, runs = planned(tmp_path)
    with a_sweep_that_waits_in(runs[1], tmp_path) as driver:
        driver.kill()
        driver.wait()
    assert names(tmp_path / "ENDED") == [runs[0].name] and runs[0].finished()
    said = []  # the run is still there: it is waited for, not begun beside it

    def say(line):
        said.append(line)
        if line.startswith("waits"):
            assert names(tmp_path / "BEGAN").count(runs[1].name) == 1
            (tmp_path / "GO").touch()

    again = local.Local([{**os.environ}], say, FAKE)
    assert again([run for run in runs if not run.finished()]) == {}
    assert f"waits for {runs[1].name}, which an earlier sweep began" in said
    times = {name: names(tmp_path / "BEGAN").count(name) for name in names(tmp_path / "BEGAN")}
    # The one that was on its way is asked again: alexnet_jax.main finds it done.
    assert times == {run.name: 2 if run == runs[1] else 1 for run in runs}


def test_stopped_it_lets_the_run_save_and_begins_no_other(tmp_path):
    _, runs = planned(tmp_path)
    with a_sweep_that_waits_in(runs[1], tmp_path) as driver:
        driver.send_signal(signal.SIGTERM)
        _, error = driver.communicate(timeout=30)
    assert names(tmp_path / "ASKED") == [runs[1].name]
    assert names(tmp_path / "BEGAN") == [runs[0].name, runs[1].name]
    assert "Stopped: stopped by SIGTERM" in error


def test_each_run_at_once_has_gpus_of_its_own():
    visible = local.VISIBLE
    assert local.devices(0, []) == [{}]
    assert local.devices(3, []) == [{}, {}, {}]
    assert local.devices(0, ["0", "1"]) == [{visible: "0"}, {visible: "1"}]
    assert local.devices(2, ["3", "4", "5", "6", "7"]) == [{visible: "3,4"}, {visible: "5,6"}]
    with pytest.raises(UserError, match="at most the number of GPUs, 2; got 3"):
        local.devices(3, ["0", "1"])


def test_gpus_are_those_that_the_environment_shows(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv(local.VISIBLE, "2,5")
    assert local.gpus() == ["2", "5"]
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert local.gpus() == []


def test_errors_are_of_the_last_and_the_best_validation_and_differences_are_paired(tmp_path):
    settings, runs = planned(tmp_path, seeds=3)
    run_all(runs)
    assert figures(runs[0]) == {
        "final_top1_error": 0.6,
        "final_top5_error": 0.3,
        "best_top1_error": 0.5,
        "best_top5_error": 0.25,
    }
    first, other = summary(settings, runs)
    assert first["setting"] == "model.pool.window=3" and first["overrides"]
    assert first["final_top1_error"]["mean"] == pytest.approx(0.61)
    assert first["final_top1_error"]["sd"] == pytest.approx(0.01)
    assert first["final_top1_error"]["difference"] is None
    d = np.array([0.020, 0.021, 0.024])
    found = other["final_top1_error"]["difference"]
    half = 4.302652729911275 * d.std(ddof=1) / np.sqrt(3)  # t, 2 degrees of freedom, .975
    assert [found["mean"], found["high"]] == pytest.approx([d.mean(), d.mean() + half])
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table([first, other]))
    text = captured.get()
    assert "61.00 ± 1.00" in text and "+2.17 [+1.65, +2.68]" in text
    draw(settings, runs, tmp_path / "sweep.svg")
    assert "<svg" in (tmp_path / "sweep.svg").read_text()
    lone = summary(settings, runs[:1])  # all others failed
    assert lone[1]["final_top1_error"] == {
        **{"n": 0, "mean": None, "sd": None, "values": [], "difference": None}
    }
    table(lone), draw(settings, [], tmp_path / "none.svg")


class FakeJob:
    def __init__(self, command, job_id):
        self.job_id, self.state = job_id, "FAILED"
        self.paths = types.SimpleNamespace(stderr="log.err")
        done = subprocess.run(command, capture_output=True, text=True)
        self.error = RuntimeError(f"Failed: {done.stderr}\nsee logs") if done.returncode else None

    def done(self, force_check=False):
        return True

    def exception(self):
        return self.error


class FakeExecutor:
    def __init__(self, folder, cluster):
        self.parameters = {"folder": folder, "cluster": cluster}
        self.jobs = []

    def update_parameters(self, **given):
        self.parameters |= given

    def batch(self):
        return contextlib.nullcontext()

    def submit(self, command):
        job = FakeJob(command, f"77_{len(self.jobs)}")
        self.jobs.append(job)
        return job


def test_slurm_runs_the_same_runs_as_an_array(tmp_path, monkeypatch):
    helpers = types.SimpleNamespace(CommandFunction=list)
    fake = types.SimpleNamespace(AutoExecutor=FakeExecutor, helpers=helpers)
    monkeypatch.setitem(sys.modules, "submitit", fake)
    _, runs = planned(tmp_path)
    for run in runs:
        run.workdir.mkdir()
    (tmp_path / "FAIL").write_text(runs[1].name)
    given = slurm.options(["timeout_min=60", "slurm_partition=gpu"])
    jobs = slurm.Slurm(tmp_path, 2, given, lambda _: None, FAKE)
    assert jobs.executor.parameters == {
        **{"folder": tmp_path / "slurm", "cluster": "slurm", "name": "alexnet"},
        **{"slurm_array_parallelism": 2, "timeout_min": 60, "slurm_partition": "gpu"},
    }
    assert jobs(runs) == {runs[1].name: "error: this one fails (see log.err)"}
    assert [run.finished() for run in runs] == [True, False, True, True]


def test_slurm_without_submitit_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match="pip install submitit"):
        slurm.Slurm(tmp_path, 0, {}, print)
    with pytest.raises(UserError, match="name=value; got 'fast'"):
        slurm.options([*("fast",)])


def test_flags_of_the_runs_are_in_one_word(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sweep.py", CONFIG, "--out=x", "--config.epochs=2"])
    assert recipe.given() == [CONFIG, "--config.epochs=2"]
    monkeypatch.setattr(sys, "argv", ["sweep.py", CONFIG, "--config.epochs", "2"])
    with pytest.raises(UserError, match="one word; got --config.epochs"):
        recipe.given()


@pytest.mark.slow
def test_a_real_sweep_of_which_one_run_fails(tmp_path):
    tiny.write_images(tmp_path)
    values = tiny.run_flags(tmp_path, tmp_path, epochs=1, mesh__cpu_devices=1)
    arguments = [
        *(sys.executable, "-m", "experiments.sweeps.sweep"),
        *(f"--out={tmp_path / 'out'}", "--seeds=1"),
        "--vary=model.pool.window=3,9",  # after two pools of 9 there are not 9 pixels left
        *(flag for flag in values if flag.startswith("--config")),
    ]
    done = subprocess.run(
        arguments, cwd=tiny.REPOSITORY, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == command.FAILED, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    (name,) = result["failed"]
    assert name == "model.pool.window=9,seed=0"
    assert "model.pool.window=9 does not fit" in result["failed"][name]
    assert f"failed: {name}" in done.stderr
    (error,) = result["settings"][0]["final_top1_error"]["values"]
    workdir = tmp_path / "out" / "model.pool.window=3,seed=0"
    assert error == tiny.lines(workdir)[-1]["top1_error"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == result
    assert pathlib.Path(result["figure"]).exists()


def errors_of(settings, errors, folder) -> list[Run]:
    """Return finished runs with these last top-1 errors: seeds are rows."""
    runs = [
        Run(setting, seed, folder / f"{k},{seed}", (), "")
        for seed in range(len(errors))
        for k, setting in enumerate(settings)
    ]
    for run, error in zip(runs, itertools.chain(*errors), strict=True):
        run.workdir.mkdir()
        line = {"split": "val", "step": 1, "epoch": 1.0, "top1_error": error, "top5_error": 0.0}
        (run.workdir / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return runs


def test_two_crossed_fields_have_their_effects_and_their_interaction(tmp_path):
    settings = grid(["model.lrn.enabled=True,False", "model.pool.window=3,2"])
    errors = [[0.40, 0.42, 0.45, 0.51], [0.42, 0.43, 0.46, 0.50]]
    found = crossed.effects(settings, errors_of(settings, errors, tmp_path))
    each = np.array(errors)
    by_hand = {
        "model.lrn.enabled": (each[:, 2] + each[:, 3] - each[:, 0] - each[:, 1]) / 2,
        "model.pool.window": (each[:, 1] + each[:, 3] - each[:, 0] - each[:, 2]) / 2,
        "model.lrn.enabled x model.pool.window": each[:, 3] - each[:, 2] - each[:, 1] + each[:, 0],
    }
    assert list(found) == list(by_hand)
    for name, values in by_hand.items():
        assert found[name].mean == pytest.approx(values.mean())
        # Student's t, 1 degree of freedom, .975: 12.706
        half = 12.7062 * values.std(ddof=1) / 2**0.5
        assert found[name].high == pytest.approx(values.mean() + half, rel=1e-4)
    three = grid(["model.pool.window=3,2,4"])
    assert crossed.effects(three, []) == {} == crossed.effects(settings, [])


def test_a_picture_shows_a_single_validation_and_whole_short_names(tmp_path, monkeypatch):
    settings = grid(["model.lrn.enabled=True,False", "model.pool.window=3,2"])
    names = ["lrn.enabled=True\nwindow=3", "lrn.enabled=True\nwindow=2"]
    assert [results.label(setting) for setting in settings[:2]] == names
    assert results.label(Setting("crops", (("data.crop", "False"),))) == "crops"
    drawn = []
    monkeypatch.setattr(results.pictures, "save", lambda figure, path: drawn.append(figure))
    runs = errors_of(settings, [[0.4, 0.5, 0.6, 0.7]], tmp_path)
    results.draw(settings, runs, tmp_path / "x.svg")
    (figure,) = drawn
    lines = figure.axes[1].get_lines()
    assert len(lines) == 4 and all(line.get_marker() == "o" for line in lines)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == names


def test_a_sweep_says_how_many_runs_are_done_and_how_long_the_others_take(tmp_path):
    _, runs = planned(tmp_path)
    said: list[str] = []
    local.Local([{**os.environ}], said.append, FAKE)(runs)
    finished = [line for line in said if line.startswith("finished")]
    counts = [re.search(r": (\d of \d), about .+ left$", line) for line in finished]
    assert [found and found[1] for found in counts] == [f"{k} of 4" for k in (1, 2, 3, 4)]
