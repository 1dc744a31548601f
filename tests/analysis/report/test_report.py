"""The report page from what runs leave: whole or damaged, of any version, alone or side by side."""

import html.parser
import json
import re
import shlex
import shutil
import sys
import time

import numpy as np
import pytest

from alexnet_jax.analysis.report import __main__ as report_command
from alexnet_jax.analysis.report import config_section, curves, findings, markup, paper, summary
from alexnet_jax.analysis.report import page as report
from alexnet_jax.analysis.report.refresh import refresh
from alexnet_jax.analysis.report.run_record import read
from alexnet_jax.data.store.statistics import Statistics
from alexnet_jax.errors import CheckpointError, ConfigError
from alexnet_jax.run import dataset_info, evaluations
from tests.support import left_runs, tiny

STATISTICS = (np.zeros((256, 256, 3), np.float32), np.ones(3), np.eye(3))  # of no image in truth
OLD_RUN = tiny.REPOSITORY / "experiments" / "records" / "tiny_imagenet_40"


class Seen(html.parser.HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.texts, self.names = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        within = self.tags[-1] if self.tags else ""
        if within != "style":
            self.texts.append(data)
        if within == "bdi":
            self.names.append(data)
        self.tags.append("text")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def seen(*workdirs, out=None) -> Seen:
    return Seen(report.write(workdirs, out).read_text())


def test_the_best_of_equal_validations_is_the_latest(tmp_path):
    steps = enumerate((0.3, 0.2, 0.2, 0.25), start=1)
    lines = [left_runs.line(step, "val", top1_error=error) for step, error in steps]
    assert read(left_runs.write(tmp_path / "mine", lines)).best["step"] == 3


@pytest.fixture
def workdir(tmp_path):
    return left_runs.write(tmp_path / "mine", left_runs.lines(4))


# What is read.


@pytest.mark.parametrize(
    "half",
    [
        '{"step": 45, "epo',
        "\0\0\0\0",
        "[1, 2]",
        '"a word"',
        "[" * 100_000,
        '{"step": 45, "split": "train"}',
        '{"epoch": 4.5, "split": "train"}',
        '{"step": "45", "epoch": 4.5, "split": "train"}',
        '{"step": 45, "epoch": NaN, "split": "val"}',
        '{"step": 45, "epoch": 4.5, "split": ["val"]}',
    ],
)
def test_a_damaged_line_is_left_out_and_counted(tmp_path, half):
    records = left_runs.lines(4)
    workdir = left_runs.write(tmp_path / "run", records[:5], more=half + "\n")
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records[5:]))
    record = read(workdir)
    assert (record.lines, record.damaged) == (records, 1)
    assert "1 damaged line is left out of run's metrics.jsonl" in seen(workdir).text


def test_a_figure_that_is_no_number_is_left_out_of_its_line(tmp_path):
    broken = {"loss": float("nan"), "top5_error": [0.5], "images_per_second": True}
    lines = [left_runs.line(1), left_runs.line(2, **broken), left_runs.line(3)]
    record = read(left_runs.write(tmp_path / "run", lines))
    assert record.of("train", "loss") == [(0.1, 3.0), (0.3, 2.0 + 1 / 3)]
    assert [epoch for epoch, _ in record.of("train", "top1_error")] == [0.1, 0.2, 0.3]
    assert record.damaged == 0


def test_of_a_step_that_was_done_again_the_later_line_counts(tmp_path):
    lines = [left_runs.line(1), left_runs.line(2), left_runs.line(3), left_runs.line(2, loss=1.0)]
    record = read(left_runs.write(tmp_path / "run", lines))
    assert record.of("train", "loss") == [(0.1, 3.0), (0.2, 1.0), (0.3, 2.0 + 1 / 3)]


def test_without_a_run_there_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no run: .*config.json is not there"):
        report.write([tmp_path / "nothing"])
    (tmp_path / "config.json").write_text('{"seed": 0, ')
    with pytest.raises(CheckpointError, match=r"config.json cannot be read"):
        report.write([tmp_path])
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_has_logged_nothing_has_a_page(tmp_path):
    workdir = left_runs.write(tmp_path / "run", [])
    for name in ("metrics.jsonl", "environment.json", "conv1.png"):
        (workdir / name).unlink()
    text = seen(workdir).text
    assert "Nothing logged yet" in text and "No conv1.png yet" in text


# What is told of it.


def test_rates_and_their_drops_are_where_the_validations_left_them(workdir):
    record = read(workdir)
    assert record.drops == [(2.0, 0.01, 0.001)]
    assert curves.rate_points(record) == [(0.0, 0.01), (2.0, 0.001), (4.0, 0.001)]
    page = seen(workdir)
    assert "0.01 to 0.001 at epoch 2." in page.text
    assert page.attributes.count(("class", "mark")) == 4  # in each chart


def test_time_is_steps_by_their_rate(workdir):
    record = read(workdir)
    # 40 steps of 64 images, and 4 validations of 100 images, at 64 images a second.
    assert record.seconds("train") == pytest.approx(40)
    assert record.seconds("val") == pytest.approx(4 * 100 / 64)
    assert summary.remaining(record) == pytest.approx((40 + 6.25) / 4 * 4)  # 4 epochs of 8 left


@pytest.mark.parametrize(
    ("epochs", "said"), [(4, "Finished: 4 epochs"), (8, "Epoch 4 of 8, about")]
)
def test_the_head_says_how_far_the_run_is(tmp_path, epochs, said):
    workdir = left_runs.write(tmp_path / "run", left_runs.lines(4), epochs=epochs)
    page = seen(workdir)
    assert said in page.text
    assert ("style", f"width:{400 / epochs:.1f}%") in page.attributes
    assert (
        "arch paper, width 0.25, 10 classes, about 640 training images of drawn shapes" in page.text
    )
    assert "best top-1 error 50.6%" in page.text  # 0.5 + 1 / 160


@pytest.mark.parametrize(
    ("changes", "train", "validation", "comparable"),
    [
        ({}, 1_281_167, 50_000, "2012"),
        ({"data__release": "2010"}, 1_261_406, 50_000, "2010"),
        ({"data__release": "2010"}, 1_281_167, 50_000, None),
        ({"data__release": "fall2011"}, 1_281_167, 50_000, None),
        ({"data__builder": "image_folder"}, 1_281_167, 50_000, None),
        ({"model__classes": 100}, 1_281_167, 50_000, None),
        ({}, 128_117, 50_000, None),
        ({}, 1_281_167, 49_999, None),
    ],
)
def test_only_runs_of_the_same_images_stand_beside_the_paper(
    tmp_path, changes, train, validation, comparable
):
    values = {"data__builder": "ilsvrc", "model__classes": 1000, "batch_size": 128} | changes
    lines = left_runs.ilsvrc(train, validation)
    workdir = left_runs.write(tmp_path / "run", lines, **values)
    record, text = read(workdir), seen(workdir).text
    assert paper.release_of(record) == comparable
    assert ("table 2, ILSVRC-2012 validation, 10 views 40.7% 18.2%" in text) == (
        comparable == "2012"
    )
    assert ("table 1, ILSVRC-2010 test, 10 views 37.5% 17.0%" in text) == (comparable == "2010")
    assert ("This run is not comparable with the paper" in text) == (comparable is None)
    assert ("the paper, ten views:" in text) == (comparable == "2012")  # of 2010 it says test
    errors = "99.0% 95.0% 4.605" if "model__classes" in changes else "99.9% 99.5% 6.908"
    assert f"classes {errors}" in text  # chance: 1 - 1/n, 1 - 5/n, ln n


def test_what_evaluate_found_stands_beside_the_paper(tmp_path):
    workdir = left_runs.write(tmp_path / "run", left_runs.lines(2))
    line = {"step": 20, "views": 10, "resize": "aspect/area", "images": 100, "loss": 1.25}
    errors = {"top1_error": 0.4, "top5_error": 0.15}
    evaluations.remember(workdir, {**line, "top1_error": 0.5, "top5_error": 0.25})
    evaluations.remember(workdir, {**line, **errors})  # done again: in the place of the first
    evaluations.remember(workdir, {**line, **errors, "views": 1, "resize": "<b>"})
    with (workdir / evaluations.FILE).open("a") as file:
        file.write('{"step": 3, "views": 1, "resize": 4}\n{"step": "x"\n[]\n')
    text = seen(workdir).text
    assert text.count("this run, evaluated") == 2
    own = "step 20, its own validation images"
    assert f"{own}, 10 views, aspect/area 40.0% 15.0% 1.250" in text
    assert f"{own}, one view, <b> 40.0% 15.0% 1.250" in text  # as text
    in_a_file = workdir / "config.json"  # cannot be written: no error
    evaluations.remember(in_a_file, {**line, **errors})


def test_what_the_images_say_is_taken_from_where_training_left_it(tmp_path):
    workdir = left_runs.write(tmp_path / "run", left_runs.lines(2), model__classes=0)
    assert read(workdir).classes is None
    assert "Chance is not shown" in seen(workdir).text
    known = dataset_info.DatasetInfo(
        tuple("abcdefg"), tuple("ABCDEFG"), Statistics(*STATISTICS, images=641)
    )
    dataset_info.write(workdir, known)
    record = read(workdir)
    assert (record.classes, record.images("train"), record.images("validation")) == (7, 641, 100)
    text = seen(workdir).text
    assert (
        "7 classes, 641 training images" in text and "chance, 7 classes 85.7% 28.6% 1.946" in text
    )
    for name in (dataset_info.CLASSES_FILE, dataset_info.STATISTICS_FILE):
        (workdir / name).write_text("[")
    record = read(workdir)
    assert (record.classes, record.images("train")) == (None, 640)  # 20 steps of 64 in 2 epochs


def test_the_config_is_held_against_the_papers_recipe(workdir):
    found = {
        name: (theirs, ours) for name, theirs, ours in config_section.differences(read(workdir))
    }
    std = {
        f"model.init.std.{name}": ("0.01", "0.02")
        for name in ("conv1", "conv2", "fc6", "fc7", "fc8")
    }
    std |= {f"model.init.std.conv{k}": ("0.01", "0.06") for k in (3, 4, 5)}
    assert found == {
        **std,
        "epochs": ("90", "8"),
        "batch_size": ("128", "64"),
        "data.builder": ("ilsvrc", "shapes"),
        "model.classes": ("1000", "10"),
        "model.width": ("1.0", "0.25"),
        "schedule.kind": ("plateau", "epochs"),
        "schedule.epochs": ("[25, 51, 79]", "[6]"),
    }


def test_a_run_of_an_older_version_has_its_curves():
    record = read(OLD_RUN)
    assert record.damaged == 0 and len(record.lines) == 49
    page = Seen(report.page([record]))
    assert "best top-1 error 77.1%" in page.text and "Epoch 5.63 of 90" in page.text
    assert page.tags.count("figure") == 4
    found = {name for name, *_ in config_section.differences(record)}
    assert found == {"data.builder", "model.classes"}  # no field that it could not know
    absent = page.text.partition("it did not have: ")[2].partition(". ")[0]
    assert "data.crop_chunk" in absent and "data.crop," not in absent


def test_a_net_that_this_version_does_not_know_is_said(workdir):
    config = json.loads((workdir / "config.json").read_text())
    config["model"]["arch"] = "lenet"
    (workdir / "config.json").write_text(json.dumps(config))
    assert "a net that this version does not know" in seen(workdir).text


@pytest.mark.parametrize(
    "config",
    [
        "{}",
        '{"model": 3, "data": "x", "epochs": "many", "evaluate": [], "log": 7}',
        '{"data": {"dir": 5, "builder": [], "release": {}}, "model": {"arch": ["a"]}}',
    ],
)
def test_a_config_of_any_shape_leaves_the_curves(workdir, config):
    (workdir / "config.json").write_text(config)
    page = seen(workdir)
    assert page.tags.count("figure") == 5 and "best top-1 error 50.6%" in page.text
    assert "Epoch 4" in page.text


# What the analysis commands left.


def test_what_they_found_is_shown_and_what_is_missing_has_its_command(workdir):
    text = seen(workdir).text
    for name in ("colour", "figure4", "classes"):
        assert text.count(f"python -m alexnet_jax.analysis.{name} --workdir={workdir}") == 1
    left_runs.write_findings(workdir, left_runs.findings())
    page = seen(workdir)
    assert "python -m" not in page.text
    assert page.tags.count("img") == 1 + 5 + 5 * 7  # filters, predictions, rows of neighbours
    differ = "The columns differ by 0.625. Dealt out at random they differ by at most 0.125"
    for said in ("50.0%", "10.5", differ, "step 30", "bee 10 10.0% 5.0%", "All 25 classes"):
        assert said in page.text, said
    assert "Most errors class images top-1 top-5 eel 10 240.0% 120.0% dog 10 230.0%" in page.text
    assert "0.0% 0.0% bee 10 10.0% 5.0% cow 10 20.0%" in page.text.partition("Fewest errors")[2]
    fills = [value for key, value in page.attributes if key == "style" and "width" in value]
    assert fills[1:6] == [f"width:{100 * 0.5 / k:.1f}%" for k in (1, 2, 3, 4, 5)]
    assert page.attributes.count(("class", "right")) == 5 + 5 + 1  # one answer each; one's twin


SHAPES = ["", "null", "[]", '"text"', "{}", "[[1]]", '{"step": "x", "images": 3}', "[" * 100_000]


@pytest.mark.parametrize("name", findings.PARTS)
@pytest.mark.parametrize("content", SHAPES, ids=range(len(SHAPES)))
def test_a_file_of_another_shape_takes_only_its_own_place(workdir, name, content):
    left_runs.write_findings(workdir, left_runs.findings())
    (workdir / "analysis" / f"{name}.json").write_text(content)
    text = seen(workdir).text
    assert f"analysis/{name}.json is not what this page expects" in text
    assert f"python -m alexnet_jax.analysis.{findings.PARTS[name][1]}" in text
    for other, (title, *_) in findings.PARTS.items():
        assert title in text
        assert (f"analysis/{other}.json is not" in text) == (other == name)


def test_a_net_of_one_column_has_no_difference(workdir):
    one = {"columns": [0.5], "per_filter": [[0.5]], "difference": None, "over_steps": []}
    left_runs.write_findings(workdir, {"colour": {"step": 30, **one, "difference_by_chance": None}})
    text = seen(workdir).text
    assert "column 1 0.500" in text and "columns differ" not in text


def test_the_command_line_of_a_folder_can_be_pasted(tmp_path):
    workdir = left_runs.write(tmp_path / "a'; rm -rf $HOME #", [])
    (line, *_) = [text for text in seen(workdir).texts if text.startswith("python -m")]
    assert shlex.split(line)[-1] == f"--workdir={workdir}"


def test_a_picture_that_is_none_is_not_put_in(workdir):
    found = left_runs.findings()
    found["predictions"]["images"][0]["jpeg"] = "aHR0cDovL2V4YW1wbGU="  # base64 of no picture
    left_runs.write_findings(workdir, found)
    (workdir / "conv1.png").write_text("<svg onload='alert(1)'>")
    text = seen(workdir).text
    assert "analysis/predictions.json is not what" in text and "No conv1.png yet" in text


def test_the_share_of_colour_that_validations_logged_is_drawn(tmp_path):
    lines = left_runs.lines(4)
    lines[5]["conv1_colour"] = [0.5, float("nan")]  # the second validation
    workdir = left_runs.write(tmp_path / "run", lines)
    record = read(workdir)
    assert record.colour(0) == [(1.0, 0.5), (3.0, 0.6 - 0.3), (4.0, 0.6 - 0.4)]
    assert record.colour(1) == [(1.0, 0.65), (3.0, 0.65), (4.0, 0.65)] and record.colour(2) == []
    page = seen(workdir)
    assert page.tags.count("figure") == 4 + 1 and "noise 2/3" in page.text
    left_runs.write_findings(workdir, {"colour": left_runs.findings()["colour"]})
    assert seen(workdir).tags.count("figure") == 4 + 1  # once, by step


# Whatever the names are.


def test_hostile_names_are_text_and_nothing_else(tmp_path):
    name = "a <b onmouseover=alert(1)> & \"c\" 'd' \N{SNOWMAN}"
    workdir = left_runs.write(tmp_path / name, left_runs.lines(1))
    left_runs.write_findings(workdir, left_runs.findings())
    written = report.write([workdir]).read_bytes()
    assert written.isascii()
    page = Seen(written.decode())
    assert name in page.names
    shown = left_runs.HOSTILE.replace("\udcff", "?").replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert page.names.count(shown) > 10
    assert "script" not in page.tags and "b" not in page.tags
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    addresses = [value for key, value in page.attributes if key in ("src", "href")]
    assert len(addresses) > 40 and all(value.startswith("data:") for value in addresses)


def test_elements_escape_all_but_elements():
    made = markup.element("p", "<b>", markup.element("i", "&"), None, class_='"', hidden=False)
    assert made == '<p class="&quot;">&lt;b&gt;<i>&amp;</i></p>'
    assert markup.element("wbr") == "<wbr>"


# Several runs.


def test_several_runs_stand_side_by_side(tmp_path):
    runs = [
        left_runs.write(tmp_path / "a" / "run", left_runs.lines(4)),
        left_runs.write(tmp_path / "b" / "run", left_runs.lines(6), model__lrn__enabled=False),
    ]
    with pytest.raises(ConfigError, match="--out=FILE"):
        report.write(runs)
    page = seen(*runs, out=tmp_path / "both.html")
    assert [str(run) for run in runs] == page.names[:2]  # two folders of one name
    assert "2 runs side by side" in page.text and "These runs are not comparable" in page.text
    for style in ("val s0", "val s1"):
        # Loss, two errors, rate; its own card and legend; and as a column in both runs' colours.
        assert page.attributes.count(("class", style)) == 4 + 2 + 2 * 2
    assert "model.lrn.enabled True False" in re.sub(r"(?<=[._]) ", "", page.text)
    assert "model.width" not in re.sub(r"(?<=[._]) ", "", page.text.partition("Each run")[0])
    assert not (runs[0] / "report.html").exists()


def test_the_command_line_says_what_it_wrote(workdir, tmp_path, capsys):
    other = shutil.copytree(workdir, tmp_path / "other")
    report_command.report([str(workdir), str(other)], str(tmp_path / "both.html"))
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    size = (tmp_path / "both.html").stat().st_size
    assert result == {"file": str(tmp_path / "both.html"), "runs": 2, "bytes": size}
    with pytest.raises(ConfigError, match=r"both.html/page.html could not be written"):
        report_command.report([str(workdir)], str(tmp_path / "both.html" / "page.html"))


# While training.


def test_a_page_that_cannot_be_written_is_one_warning(workdir, capsys, monkeypatch):
    refresh(workdir)
    assert "Epoch 4 of 8" in (workdir / "report.html").read_text()
    assert capsys.readouterr() == ("", "")

    def fails(*_):
        raise RuntimeError("first line\nsecond")

    monkeypatch.setattr(report, "page", fails)
    refresh(workdir)
    monkeypatch.setitem(sys.modules, "alexnet_jax.analysis.report", None)
    monkeypatch.delattr("alexnet_jax.analysis.report")  # now it cannot be imported
    refresh(workdir)
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == "" and first.endswith("report.html: RuntimeError: first line second")
    assert first.startswith("warning: no ") and second.startswith("warning: no ")
    assert "report.html: ModuleNotFoundError: " in second
    assert "Epoch 4 of 8" in (workdir / "report.html").read_text()  # the old one, whole


def test_a_run_of_a_thousand_lines_costs_less_than_a_second(tmp_path):
    workdir = left_runs.write(tmp_path / "run", left_runs.lines(333))
    assert len(read(workdir).lines) == 999
    begin = time.process_time()
    report.write([workdir])
    assert time.process_time() - begin < 1
