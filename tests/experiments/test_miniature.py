"""The miniature: its images, its runs, what follows from their records, and its page."""

import json
import pathlib
import re

import numpy as np
import pytest

from alexnet_jax.data.sources.listing import LeftOut
from alexnet_jax.data.sources.tiny_imagenet import Files
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.inference.predictions import Predictions
from experiments.miniature import (
    contents,
    layout,
    neighbours,
    one,
    page,
    pictures,
    protocol,
    tables,
)
from experiments.miniature.__main__ import planned
from experiments.miniature.one import FROM
from experiments.miniature.protocol import BASELINE, ENTRIES, Entry
from experiments.miniature.records import RunRecord, read
from experiments.miniature.verdicts import (
    AGREES,
    DISAGREES,
    NOT_RUN,
    TOO_FEW,
    TOO_SMALL,
    Effect,
    effects,
    verdict,
)
from experiments.sweeps.runs import Setting

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
WNIDS = [f"n{k:08d}" for k in range(200)]


def files(wnids: list[str] = WNIDS) -> Files:
    train = [f"train/{w}/images/{w}_{k}.JPEG" for w in wnids for k in (0, 49, 50, 449, 450, 499)]
    boxes = "".join(f"val_{k}.JPEG\t{w}\t0\t0\t9\t9\n" for k, w in enumerate(wnids))
    return Files(pathlib.Path("x.zip"), train, lambda name: boxes.encode(), LeftOut())


def test_training_held_out_and_test_images_are_different_ones():
    places = pictures.placed(files())
    copies = [copy for names in places.values() for copy in names]
    assert len(set(copies)) == len(copies)
    of = {
        part: {name for name, names in places.items() if any(n.startswith(part) for n in names)}
        for part in ("target/train", "target/val", "source/train", "source/val", "test", "seen")
    }
    assert {part: len(names) for part, names in of.items()} == {
        "target/train": 50 * 4,
        "target/val": 50 * 2,
        "source/train": 150 * 4,
        "source/val": 150 * 2,
        "test": 50,
        "seen": 50 * 2,
    }
    assert of["seen"] < of["target/train"]
    parts = [names for part, names in of.items() if part != "seen"]
    assert sum(map(len, parts)) == len(set().union(*parts))
    targets = {name.split("/")[2] for name in copies if name.startswith("target/train")}
    assert targets == set(WNIDS[::4]) and places["val/images/val_4.JPEG"] == [
        f"test/{WNIDS[4]}/val_4.JPEG"
    ]


def test_a_part_of_tiny_imagenet_is_refused():
    with pytest.raises(DataError, match="expected 200 classes in train, got 199"):
        pictures.placed(files(WNIDS[:199]))


def test_pictures_that_were_not_all_written_are_written_again(tmp_path, monkeypatch):
    def broken(name: str) -> bytes:
        if name.endswith("_499.JPEG"):
            raise OSError("disk")
        return files().read(name)

    for read_one, there in ((broken, False), (files().read, True)):
        new = files()._replace(read=read_one)
        monkeypatch.setattr(pictures, "tiny_imagenet_files", lambda root, new=new: new)
        if there:
            pictures.lay_out(tmp_path, tmp_path)
        else:
            with pytest.raises(OSError, match="disk"):
                pictures.lay_out(tmp_path, tmp_path)
        assert (tmp_path / "pictures").is_dir() == there
    assert not (tmp_path / "pictures.incomplete").exists()


def test_the_runs_come_in_the_order_of_their_worth(tmp_path):
    runs = planned(tmp_path, [])
    names = [run.name for run in runs]
    first = [BASELINE, "lrn", "pooling", "columns", "dropout", "colour", "crops_and_flips"]
    assert names[:14] == [f"{name},seed={k}" for k in (0, 1) for name in first]
    assert len(set(names)) == len(names) == sum(entry.seeds for entry in ENTRIES)
    assert names.index("baseline,seed=4") < names.index("pretrained,seed=0")
    flags = {run.name: run.flags for run in runs}
    (begins,) = [flag for flag in flags["pretrained,seed=1"] if flag.startswith(FROM)]
    assert begins.endswith("/runs/pretraining,seed=1")
    assert not any(flag.startswith(FROM) for flag in flags["baseline,seed=1"])
    only = {run.setting.name for run in planned(tmp_path, ["lrn"])}
    assert only == {BASELINE, "lrn"}
    with pytest.raises(ConfigError, match="--only takes baseline, lrn, .*; got lnr"):
        planned(tmp_path, ["lnr"])


def record(entry: str, seed: int, wrong: list[int]) -> RunRecord:
    """Return the record of a run that has these images wrong, 1, or right, 0."""
    ranks = "".join("3" if bad else "0" for bad in wrong)
    look = {"split": "test", "views": 10, "ranks": ranks, "top1_error": np.mean(wrong)}
    return RunRecord(entry, seed, {"looks": [look]}, [])


def test_an_effect_is_paired_by_seed_and_by_image_and_its_interval_has_both_parts():
    rng = np.random.default_rng(1)
    wrong = {name: rng.integers(0, 2, (3, 400)) for name in (BASELINE, "lrn", "pooling", "columns")}
    wrong["columns"] = wrong["columns"][:1]
    runs = [
        record(name, k, list(row)) for name, rows in wrong.items() for k, row in enumerate(rows)
    ]
    found = effects(
        [entry for entry in ENTRIES if entry.name in wrong or entry.name == "relu"], runs
    )
    assert found["relu"] is None
    lrn, columns = found["lrn"], found["columns"]
    assert lrn and columns and columns.seeds == 1 and columns.low is None
    # By hand: seeds are rows, images are columns of the differences in points.
    rows = {name: 100.0 * (wrong[name] - wrong[BASELINE]) for name in ("lrn", "pooling")}
    means = {name: row.mean(axis=1) for name, row in rows.items()}
    pooled = sum(((m - m.mean()) ** 2).sum() for m in means.values()) / 4
    over_images = rows["lrn"].mean(axis=0).std() / 400**0.5
    t = 2.776  # Student's, 4 degrees of freedom, 0.975: from a table
    half = t * (pooled / 3 + over_images**2) ** 0.5
    assert lrn.mean == pytest.approx(rows["lrn"].mean())
    assert lrn.over_seeds == pytest.approx(t * (pooled / 3) ** 0.5, rel=1e-3)
    assert lrn.over_images == pytest.approx(1.96 * over_images, rel=0.06)  # 2,000 draws
    assert lrn.high == pytest.approx(rows["lrn"].mean() + half, rel=0.06)


@pytest.mark.parametrize(
    ("low", "high", "sign", "expected"),
    [
        (0.1, 2.0, 1, AGREES),
        (-2.0, -0.1, 1, DISAGREES),
        (-0.1, 2.0, 1, TOO_SMALL),
        (-2.0, -0.1, -1, AGREES),
        (0.1, 2.0, -1, DISAGREES),
        (0.1, 2.0, 0, "-"),
        (None, None, 1, TOO_FEW),
    ],
)
def test_the_verdict_follows_from_the_interval_and_the_papers_sign(low, high, sign, expected):
    mean = 0.0 if low is None else (low + high) / 2
    effect = Effect(mean, 1.0, 1.0, low, high, 3)
    assert verdict(Entry(Setting("x"), "", sign=sign), effect) == expected
    assert verdict(Entry(Setting("x"), "", sign=sign), None) == NOT_RUN


def test_the_nearest_vector_is_the_one_that_a_plain_loop_finds(monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", 7)
    rng = np.random.default_rng(0)
    queries, vectors = rng.normal(size=(20, 5)), rng.normal(size=(30, 5))
    labels, others = rng.integers(0, 2, 20), rng.integers(0, 2, 30)
    right = sum(
        others[min(range(30), key=lambda j: ((q - vectors[j]) ** 2).sum())] == label
        for q, label in zip(queries, labels, strict=True)
    )
    assert neighbours.same_class(queries, labels, vectors, others) == right / 20


def write_runs(folder: pathlib.Path) -> None:
    """Write records of three seeds of the baseline and of dropout."""
    rng = np.random.default_rng(0)
    for name, share in ((BASELINE, 0.5), ("dropout", 0.8)):
        for seed in range(3):
            run = folder / f"{name},seed={seed}"
            run.mkdir(parents=True)
            looks = []
            for split, views in layout.LOOKS:
                wrong = rng.random(300) < share
                errors = {"top1_error": wrong.mean(), "top5_error": 0.0}
                ranks = "".join("1" if bad else "0" for bad in wrong)
                looks.append({"split": split, "views": views, "ranks": ranks, **errors})
            colour = {"columns": [0.1, 0.6], "difference": 0.5, "difference_by_chance": 0.2}
            machine = {"cores": 2, "vector_bits": 512}
            result = {**machine, "looks": looks, "colour": colour}
            (run / layout.RESULT).write_text(json.dumps(result))
            lines = [{"split": "val", "epoch": k, "top1_error": 1 - k / 4} for k in (1.0, 2.0)]
            steps = [{"split": "train", "step": k, "step_ms": 18_000.0} for k in (100, 200)]
            text = "\n".join(map(json.dumps, [*steps, *lines]))
            (run / "metrics.jsonl").write_text(text)


def test_the_tables_say_what_the_records_hold(tmp_path):
    write_runs(tmp_path)
    assert [(run.entry, run.seed) for run in read(tmp_path)][:4] == [
        *((BASELINE, k) for k in range(3)),
        ("dropout", 0),
    ]
    text = tables.markdown(tmp_path)
    assert "6 of 58 runs are done. Their steps took 6.0 hours" in text
    assert re.search(r"\| agrees \| 1 \| dropout \|", text)
    assert re.search(r"\| dropout \| 3 \| \+\d\d\.\d \| \+\d.* \| agrees \|", text)
    assert "| 0 | 0.10 | 0.60 | 0.50 | 0.20 |" in text
    assert "| baseline | 3 |" in text and "| 1.0 |" in text  # its own error at half of its epochs


def test_the_page_asks_the_network_for_nothing_and_shows_names_as_text(tmp_path, monkeypatch):
    write_runs(tmp_path)
    text = page.html(tmp_path)
    assert "<script" not in text and not re.search(r"(src|href)=[\"']?https?:", text)
    assert text.count("<svg") == 2 and "viewport" in text
    hostile = Entry(Setting("<b>"), "paper & <script>")
    monkeypatch.setattr(contents, "ENTRIES", (*ENTRIES, hostile))
    assert "&lt;b&gt;" in page.html(tmp_path) and "<script" not in page.html(tmp_path)


def test_without_a_run_there_is_a_page_that_says_so(tmp_path):
    assert "0 of 58 runs are done." in page.html(tmp_path)


def test_the_committed_tables_are_what_the_records_say():
    path = tables.FOLDER / tables.NAME
    assert path.read_text() == tables.markdown(tables.FOLDER), (
        "run python -m experiments.miniature.tables"
    )
    committed = sum(file.stat().st_size for file in tables.FOLDER.rglob("*") if file.is_file())
    assert committed < 6 << 20


def test_each_setting_changes_a_field():
    assert all(entry.setting.overrides for entry in ENTRIES if entry.name != BASELINE)
    assert protocol.PRETRAINED in {entry.name for entry in ENTRIES}


def test_a_run_looks_at_the_test_set_once_and_repeats_nothing(tmp_path, monkeypatch):
    workdir = tmp_path / "runs" / "pretrained,seed=1"
    done, flags = [], ["--config=miniature", "--config.data.dir=x", "--config.seed=1"]
    flags += [f"{FROM}{tmp_path}/runs/pretraining,seed=1", f"--workdir={workdir}"]
    files = {"alexnet_jax.main": "metrics.jsonl", "alexnet_jax.analysis.colour": "colour.json"}

    def do(module: str, *given: str) -> None:
        """Write what the command would; the first look at the test set is killed."""
        done.append((module, given))
        into = pathlib.Path(one.value(given, "--workdir="))
        if module == "alexnet_jax.evaluate":
            if len(done) == 3:
                raise KeyboardInterrupt
            probabilities = np.full((1, 2, 2), 0.5, np.float32)
            labels = np.arange(2, dtype=np.int32)
            kept = Predictions(("x",), (10,), ("",), ("a", "b"), ("x", "y"), labels, probabilities)
            kept.save(pathlib.Path(one.value(given, "--out=")))
            return
        (into / "analysis").mkdir(parents=True, exist_ok=True)
        (into / "config.json").write_text(json.dumps({"data": {"dir": f"{tmp_path}/pictures"}}))
        environment = {"cores": 2, "vector_bits": 512, "devices": ["cpu"], "packages": {}}
        (into / "environment.json").write_text(json.dumps(environment))
        colour = {"columns": [0, 0], "difference": 0, "difference_by_chance": 0}
        folder = into / "analysis" if "colour" in files[module] else into
        (folder / files[module]).write_text(json.dumps(colour))

    monkeypatch.setattr(one, "do", do)
    with pytest.raises(KeyboardInterrupt):
        one.one(flags)
    assert not (tmp_path / layout.RECORDS).exists()
    before = done.copy()
    one.one(flags)
    modules = [module.rpartition(".")[2] for module, _ in done[3:]]
    assert modules == ["main", "main", *["evaluate"] * 3, "colour"]
    first = dict(flag.split("=", 1) for flag in before[0][1])
    assert first["--config.data.dir"] == str(tmp_path / "pictures" / "source")
    assert first["--config.seed"] == "1" and first["--workdir"].endswith("pretraining,seed=1")
    looks = [(one.value(g, "--data_dir="), one.value(g, "--views=")) for m, g in done[5:8]]
    assert looks == [(f"{tmp_path}/pictures/{split}", f"{views}") for split, views in layout.LOOKS]
    kept = tmp_path / layout.RECORDS / workdir.name
    assert json.loads((kept / "config.json").read_text()) == {"data": {"dir": "OUT/pictures"}}
    result = json.loads((kept / layout.RESULT).read_text())
    assert result["looks"][0]["ranks"] == "01" and result["looks"][0]["top1_error"] == 0.5
    one.one(flags)
    assert [module for module, _ in done[9:]] == ["alexnet_jax.main"] * 2
