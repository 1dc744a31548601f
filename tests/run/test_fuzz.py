"""Damaged and edited files of a run end in one line, or are set aside with one.

More of them: FUZZ=20000 pytest <this file>.
"""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alexnet_jax.analysis.report import chart, config_section, page, run_record
from alexnet_jax.analysis.report.markup import Markup
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import CheckpointError, UserError
from alexnet_jax.run import by_hand, dataset_info, evaluations, folder
from alexnet_jax.run import config as configs
from alexnet_jax.run.logger import Logger
from tests.support import left_runs
from tests.support.fuzzing import fuzzed

RECIPE = configs.recipe("quickstart")
CONFIG = json.loads(configs.to_json(RECIPE))
NAMES = sorted(configs.flattened(RECIPE))
NAMES += sorted({name.rpartition(".")[0] for name in NAMES} - {""})
DEEP = json.loads("[" * 400 + "]" * 400)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from([10**400, -(10**30), 2**63, 1e300, "\ud800", "\0", "paper", "auto", "/", "~"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
) | st.just(DEEP)
BYTES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=6)), max_size=3)


def edited(data: bytes, edits: list) -> bytes:
    for where, length, new in edits:
        at = int(where * len(data))
        data = data[:at] + new + data[at + length :]
    return data


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return left_runs.write(tmp_path_factory.mktemp("fuzz") / "run", left_runs.lines(2))


def one_line(call, *args) -> None:
    """Only an error of ours may come, and it is one line."""
    try:
        call(*args)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 3000  # noqa: PT017


def use(workdir) -> None:
    """What every command does with config.json first."""
    config = folder.read_config(workdir)
    configs.check(config)
    configs.fingerprint(config)


def edit(values: dict, name: str, value: object, what: str) -> None:
    *sections, last = name.split(".")
    for section in sections:
        values = values.get(section)
        if not isinstance(values, dict):
            return
    if what == "remove":
        values.pop(last, None)
    else:
        values[last + ("_of_later" if what == "add" else "")] = value


@fuzzed(20)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), VALUES, st.sampled_from(["set", "remove", "add"])),
        max_size=3,
    ),
    BYTES,
)
@example([("log.every_steps", [1], "set")], [])  # that the report wrote as it was
def test_any_config(workdir, edits, raw):
    values = json.loads(json.dumps(CONFIG))
    for name, value, what in edits:
        edit(values, name, value, what)
    (workdir / "config.json").write_bytes(edited(json.dumps(values).encode(), raw))
    one_line(use, workdir)
    one_line(folder.check_run, workdir, RECIPE)
    one_line(page.write, [workdir])


@pytest.mark.parametrize(
    "text",
    ["null", "{}", "5", "[" * 5000, '{"a":' * 300 + "1" + "}" * 300, "\xff", '{"model": {}}'],
)
def test_a_config_that_is_none_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(
        UserError,
        match=r"^[^\n]*config.json cannot be read: [^\n]*from a copy, or take the version[^\n]*$",
    ):
        use(tmp_path)


def lines(workdir) -> list[bytes]:
    return (workdir / "metrics.jsonl").read_bytes().splitlines()


FIELDS = st.sampled_from([*sorted(left_runs.line(1)), "images", "conv1_colour", "data_wait_ms"])
RECORDS = st.dictionaries(FIELDS, VALUES).map(lambda new: json.dumps({**left_runs.line(3), **new}))
TEXTS = RECORDS.map(str.encode) | st.binary(max_size=20) | VALUES.map(json.dumps).map(str.encode)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run's folder and its log. What no log changes on its page is left out."""
    run = left_runs.write(tmp_path_factory.mktemp("log") / "run", left_runs.lines(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_section, "against_the_recipe", lambda _: Markup())
        patch.setattr(chart, "STRIPS", 4)
        yield run, lines(run)


@fuzzed(20)
@given(st.lists(st.tuples(st.integers(0, 8), TEXTS), max_size=4), BYTES)
def test_any_log(logged, edits, raw):
    run, texts = logged[0], list(logged[1])
    for at, text in edits:
        texts.insert(at, text)
    (run / "metrics.jsonl").write_bytes(edited(b"\n".join([*texts, b""]), raw))
    (run / evaluations.FILE).write_bytes(b"\n".join(text for _, text in edits))
    (run / "metrics.damaged.jsonl").unlink(missing_ok=True)
    page.write([run])
    evaluations.remember(run, {"step": 1, "views": 1, "resize": "aspect/area"})
    with Logger(run, tensorboard=False) as log:
        log.begin(20, 20, 100)
        log.last("val")
    run_record.read(run, "run")  # its page has nothing that the first one had not


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A run's folder with every file that a command writes there beside its config and log."""
    run = left_runs.write(tmp_path_factory.mktemp("others") / "run", left_runs.lines(1))
    folder.write_run(run, RECIPE)
    left_runs.write_findings(run, left_runs.findings())
    names = [{"name": "n01440764", "words": "tench"}, {"name": "bee", "words": "bee"}]
    (run / dataset_info.CLASSES_FILE).write_text(json.dumps(names))
    mean = np.zeros((RECIPE.data.size, RECIPE.data.size, 3), np.float32)
    statistics = Statistics(mean, np.ones(3), np.eye(3), images=5)
    statistics.save(run / dataset_info.STATISTICS_FILE)
    rates = by_hand.Rates(run / "checkpoints")
    (run / "checkpoints").mkdir()
    rates.begin(RECIPE)
    return run, {path: path.read_bytes() for path in run.rglob("*.[jnp]*") if path.is_file()}


@fuzzed(20)
@given(st.integers(0, 20), BYTES | VALUES)
@example(0, DEEP)
def test_any_other_file_of_a_run(others, which, damage):
    run, files = others
    for path, good in files.items():
        path.write_bytes(good)
    path = sorted(files)[which % len(files)]
    is_edit = isinstance(damage, list) and all(isinstance(x, tuple) for x in damage)
    data = edited(files[path], damage) if is_edit else json.dumps(damage).encode()
    path.write_bytes(data)
    one_line(page.write, [run])
    one_line(folder.other_machine, run)
    one_line(dataset_info.read, run, RECIPE.data)
    one_line(by_hand.Rates, run / "checkpoints")


@pytest.mark.parametrize("file", [dataset_info.STATISTICS_FILE, dataset_info.CLASSES_FILE])
def test_a_damaged_file_is_no_reason_to_delete_the_run(others, file):
    run, files = others
    for path, good in files.items():
        path.write_bytes(good)
    assert dataset_info.read(run, RECIPE.data).statistics.images == 5
    (run / file).write_bytes(files[run / file][:60])
    said = f"^{run / file} cannot be read .*; restore it from a copy, or delete it where"
    with pytest.raises(CheckpointError, match=said):
        dataset_info.read(run, RECIPE.data)


@pytest.mark.parametrize(
    "bad", [b"{}", b"5", b"\xff\xfe", b'{"step": ' + b"9" * 400 + b"}", b"null", b"[" * 9000]
)
def test_a_bad_line_is_set_aside_with_one_warning(tmp_path, capsys, bad):
    run = left_runs.write(tmp_path / "run", left_runs.lines(2))
    good = lines(run)
    (run / "metrics.jsonl").write_bytes(b"\n".join([good[0], bad, *good[1:], b""]))
    with Logger(run, tensorboard=False) as log:
        log.begin(20, 20, 100)
        assert log.last("val")["step"] == 20
    assert lines(run) == good
    assert (run / "metrics.damaged.jsonl").read_bytes() == bad + b"\n"
    assert capsys.readouterr().err.count("had 1 line that is damaged, now in metrics.damaged") == 1
