"""Whole runs as the user starts them: killed anywhere, stopped by signals, refused, evaluated."""

import json
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from alexnet_jax.net import resolving
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.step import create
from alexnet_jax.system import sharding
from tests.support import commands, tiny

PATIENCE = 120  # seconds for a process to do what is waited for
# Long enough that each kind of moment can be met: seven epochs, and ten views of each image.
RUN = {"epochs": 7, "evaluate__views": 10, "checkpoint__every_steps": 4}
STEPS = 37  # ceil(7 * 42 / 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images and compiled programs for all runs of this file."""
    return tiny.write_images(tmp_path_factory.mktemp("resume"))


def begin(folder: pathlib.Path, workdir: pathlib.Path, **changes) -> subprocess.Popen:
    return tiny.start(*tiny.run_flags(folder, workdir, **RUN | changes))


def end(process: subprocess.Popen) -> tuple[int, str, list[str]]:
    """Return exit code, stdout, and stderr without the lines that tell how the run goes."""
    out, err = process.communicate(timeout=PATIENCE)
    ordinary = ("begins: ", "goes on from ", "step ", "preparing ", "data: ", "the run ends at ")
    ordinary += ("compiling ", "evaluating ")
    return process.returncode, out, [x for x in err.splitlines() if not x.startswith(ordinary)]


def final_bits(workdir: pathlib.Path) -> dict[str, bytes]:
    """Return the bits of a finished run's state."""
    made = tiny.config(pathlib.Path("nowhere"), model__classes=3)
    net = resolving.resolve(made.model)
    like = create.abstract_state(made, net, sharding.make_mesh(made.mesh, 1, 8))
    with Checkpoints(workdir) as checkpoints:
        return tiny.bits(checkpoints.restore(like))


@pytest.fixture(scope="module")
def unbroken(folder):
    """The folder of a run that nothing disturbed, nor a field that nothing looks at."""
    workdir = folder / "unbroken"
    code, out, rest = end(begin(folder, workdir, schedule__dexp_steps=5))
    said = "schedule.dexp_steps=5 changes nothing: it counts where schedule.kind is dexp"
    assert (code, rest) == (0, [f"warning: {said}, not plateau"])
    result = json.loads(out)  # one line, and nothing else on stdout
    assert result.items() >= tiny.lines(workdir)[-1].items()
    return workdir


def test_the_page_is_that_of_the_last_epoch(unbroken):
    page = (unbroken / "report.html").read_text()
    assert "Finished: 7 epochs" in page and "Table of 7 validations" in page
    assert "chance, 3 classes" in page and "42 training images" in page
    assert "main.py" in page and not list(unbroken.glob(".*half*"))


def assert_equals_the_unbroken(workdir: pathlib.Path, unbroken: pathlib.Path) -> None:
    assert final_bits(workdir) == final_bits(unbroken)
    assert tiny.lines(workdir) == tiny.lines(unbroken)


def last_line(workdir: pathlib.Path) -> dict:
    """Return the last whole line of the log as it stands; {} where there is none."""
    try:
        text = (workdir / "metrics.jsonl").read_text()
    except FileNotFoundError:
        return {}
    whole = text[: text.rfind("\n") + 1].splitlines()
    return json.loads(whole[-1]) if whole else {}


def unfinished(workdir: pathlib.Path) -> list[pathlib.Path]:
    return list(workdir.glob("checkpoints/*.orbax-checkpoint-tmp"))


def in_preparation(workdir: pathlib.Path) -> bool:
    return any(workdir.parent.glob("prepared_again/*/*/incomplete.*"))


def in_a_step(workdir: pathlib.Path) -> bool:
    line = last_line(workdir)
    return line.get("split") == "train" and line["step"] % 2 == 1 and line["step"] > 2


def in_a_save(workdir: pathlib.Path) -> bool:
    return bool(unfinished(workdir)) and last_line(workdir).get("step", 0) > 6


def in_evaluation(workdir: pathlib.Path) -> bool:
    line = last_line(workdir)  # epochs end with ceil(42 n / 8): 6, 11, 16, 21, ...
    return line.get("split") == "train" and line["step"] in (16, 21, 27, 32)


def interrupt(process, moment, workdir, number) -> bool:
    """Send the signal as soon as the moment is there; return False where the run ended before."""
    limit = time.monotonic() + PATIENCE
    while not moment(workdir):
        if process.poll() is not None:
            return False
        assert time.monotonic() < limit, "the moment never came"
        time.sleep(0.0005)
    process.send_signal(number)
    return True


def test_killed_five_times_anywhere_the_run_ends_with_the_same_bits(folder, unbroken):
    workdir = folder / "killed"
    # Prepared anew, so that it can be killed in that too; the images are the same.
    where = {"data__prepared_dir": folder / "prepared_again"}
    for moment in (in_preparation, in_a_step, in_a_save, in_evaluation):
        before = tiny.lines(workdir) if (workdir / "metrics.jsonl").exists() else []
        process = begin(folder, workdir, **where)
        assert interrupt(process, moment, workdir, signal.SIGKILL), moment.__name__
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL
        after = last_line(workdir)
        if moment is in_preparation:
            assert in_preparation(workdir) and not after
        else:
            assert 0 < after["step"] < STEPS and tiny_length(workdir) > len(before) // 2
        if moment is in_a_save:
            assert unfinished(workdir)
        if moment is in_evaluation:
            assert after["split"] == "train"
    process = begin(folder, workdir, **where)
    time.sleep(random.Random(0).uniform(1.5, 4.0))  # and once wherever that is
    process.kill()
    process.communicate()
    code, _, rest = end(begin(folder, workdir, **where))
    assert (code, rest) == (0, [])
    assert_equals_the_unbroken(workdir, unbroken)
    assert not unfinished(workdir) and not in_preparation(workdir)


def tiny_length(workdir: pathlib.Path) -> int:
    return len((workdir / "metrics.jsonl").read_text().splitlines())


def test_dead_layerss_save_say_so_in_one_line_and_change_no_bit(folder, unbroken):
    workdir, read = folder / "stopped", {"data__resident": "off"}  # others have resident images
    for moment, number, code in (
        (in_a_step, signal.SIGTERM, 143),
        (in_evaluation, signal.SIGINT, 130),
        (in_a_save, signal.SIGINT, 130),
    ):
        process = begin(folder, workdir, **read)
        assert interrupt(process, moment, workdir, number)
        found, out, rest = end(process)
        assert (found, out) == (code, "")
        step = last_line(workdir)["step"]
        name = signal.Signals(number).name
        expected = f"stopped by {name}: saved at step {step}; the same command goes on from there"
        assert rest == [expected]
        assert (workdir / "checkpoints" / str(step)).is_dir() and step < STEPS
    # What changes no number may change on the way.
    code, _, rest = end(begin(folder, workdir, data__workers=1, checkpoint__every_steps=7))
    assert (code, rest) == (0, [])
    assert_equals_the_unbroken(workdir, unbroken)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_in_preparation_is_one_line_and_leaves_nothing_finished(folder, number, code):
    workdir = folder / f"unprepared{code}"
    prepared = workdir.parent / f"prepared{code}"
    shapes = {"data__builder": "shapes", "model__classes": 10}  # 5,000 images take a while
    process = begin(folder, workdir, data__prepared_dir=prepared, **shapes)
    assert interrupt(process, lambda _: any(prepared.rglob("incomplete.*")), workdir, number)
    found, out, rest = end(process)
    said = "what is finished is kept; the same command does the rest"
    assert (found, out, rest[-1]) == (code, "", f"stopped by {number.name}: {said}")
    # Drawn shapes have no folder.
    assert [line.partition("=")[0] for line in rest[:-1]] == ["warning: data.dir"]
    left = [path for path in prepared.rglob("*") if path.is_file()]  # to go on with
    assert all("/incomplete." in str(path) or path.name == "prepare.lock" for path in left), left
    # Whether checkpoints survive in their folder was tried before the preparation.
    assert not [path for path in (workdir / "checkpoints").rglob("*") if path.is_file()]
    assert not (workdir / "metrics.jsonl").exists()
    shutil.rmtree(prepared)


def test_what_the_user_can_mend_is_one_line_and_exit_code_2(folder, unbroken):
    ordinary = tiny.run_flags(folder, unbroken, **RUN)
    fresh = tiny.run_flags(folder, folder / "refused", **RUN)
    cases = [
        ([*ordinary, "--config.optimizer.learning_rate=0.02"], "learning_rate: 0.01 -> 0.02"),
        ([*fresh, "--config.optimizer.rate=0.02"], "--config.optimizer.rate=0.02 "),
        ([*fresh, "--colour=red"], "colour"),
        ([*fresh, "--config.epochs=many"], "epochs"),
        ([*fresh, "--config.epochs=0"], "epochs is at least 1; got 0"),
        ([*fresh, "--config.mesh.group=3"], "mesh.group is 1, 2 or auto; got 3"),
        ([*fresh, "--config.data.dir=/nowhere/at/all"], "/nowhere/at/all"),
        ([*fresh, "--process_id=1", "--num_processes=2"], "process_id needs --distributed"),
        (["--workdir=somewhere"], "config"),
        (["--config=nothing", "--workdir=somewhere"], "no recipe nothing: give the path of a"),
        (["--config=configs/nothing.py", "--workdir=somewhere"], "configs/nothing.py"),
    ]
    refuse("main", cases)


def refuse(module: str, cases: list[tuple[list[str], str]]) -> None:
    for flags, said in cases:
        commands.assert_refused(said, module, *flags)


def test_evaluate_counts_every_image_once_and_agrees_with_the_run(folder, unbroken):
    flags = [f"--workdir={unbroken}", "--checkpoint=latest", "--views=10"]
    code, out, rest = end(tiny.start(*flags, module="evaluate"))
    assert (code, rest) == (0, [])
    found = json.loads(out.splitlines()[-1])
    assert found["images_per_second"] > 0 and len(found["rows"]) == 1
    assert (found["images"], found["views"]) == (tiny.VALIDATION, 10)
    told = tiny.lines(unbroken)[-1]  # of ten views too, as RUN has it
    assert found["loss"] == pytest.approx(told["loss"], rel=1e-6)
    assert (found["top1_error"], found["top5_error"]) == (told["top1_error"], told["top5_error"])
    (step,) = {line["step"] for line in tiny.lines(unbroken)[-1:]}
    flags = [f"--workdir={unbroken}", f"--checkpoint={step}"]  # one view
    done = commands.run("evaluate", *flags)
    one = json.loads(done.out.splitlines()[-1])
    assert (done.code, one["images"], one["views"]) == (0, tiny.VALIDATION, 1)
    assert one["loss"] != found["loss"]


def test_evaluate_refuses_in_one_line(folder, unbroken, tmp_path):
    run = f"--workdir={unbroken}"
    cases = [
        ([run, "--checkpoint=newest"], "best, latest or a step; got 'newest'"),
        ([run, "--checkpoint=²"], "best, latest or a step; got '²'"),
        ([run, "--checkpoint=3"], "no checkpoint 3 in"),
        ([run, "--views=2"], "views"),
        ([f"--workdir={tmp_path}"], "holds no run"),
    ]
    refuse("evaluate", cases)
    shutil.copy(unbroken / "config.json", tmp_path)
    refuse(
        "evaluate",
        [([f"--workdir={tmp_path}", "--checkpoint=latest"], "holds no checkpoint: train ")],
    )
    newer = json.loads((unbroken / "config.json").read_text())
    newer["data"]["zoom"] = 1
    (tmp_path / "config.json").write_text(json.dumps(newer))
    said = "the config has data.zoom, which this version of the program does not know"
    refuse("evaluate", [([f"--workdir={tmp_path}"], said)])
