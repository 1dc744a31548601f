"""Show the paper's numbers beside a run's, if both are of the same images."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from alexnet_jax.analysis.report.chart import decimals, percent
from alexnet_jax.analysis.report.markup import Markup, element, foreign, section, table
from alexnet_jax.analysis.report.run_record import Record
from alexnet_jax.data.check.release_facts import FACTS


@dataclasses.dataclass(frozen=True)
class Result:
    """A row of the paper's tables."""

    release: str
    split: str
    net: str
    views: int
    top1_error: float
    top5_error: float
    source: str


RESULTS = (
    Result("2010", "test", "one CNN", 10, 0.375, 0.170, "table 1"),
    Result("2010", "test", "one CNN", 1, 0.390, 0.183, "section 6"),
    Result("2012", "validation", "one CNN", 10, 0.407, 0.182, "table 2"),
    Result("2012", "validation", "five CNNs", 10, 0.381, 0.164, "table 2"),
    Result("2012", "validation", "one CNN, pretrained", 10, 0.390, 0.166, "table 2"),
    Result("2012", "validation", "seven CNNs, two pretrained", 10, 0.367, 0.154, "table 2"),
)
CLOSE = 1e-3  # relative; a count from an epoch of four decimals is not exact


def release_of(record: Record) -> str | None:
    """Return the release of ILSVRC if the run has all of its classes and images; else None."""
    release = record.setting("data.release", "2012")
    if record.setting("data.builder") != "ilsvrc" or release not in ("2010", "2012"):
        return None
    facts = FACTS[release]
    train, validation = record.images("train"), record.images("validation")
    whole = (
        record.classes == facts.classes
        and validation == facts.images["validation"]
        and train is not None
        and abs(train - facts.images["train"]) <= CLOSE * facts.images["train"]
    )
    return release if whole else None


def of_one_net(release: str | None) -> Result | None:
    """Return the paper's result of one net on validation images with ten views, if it has one."""
    key = (release, "validation", "one CNN", 10)
    return next((x for x in RESULTS if (x.release, x.split, x.net, x.views) == key), None)


def chance(classes: int) -> dict[str, float]:
    """Return loss and errors of a net that gives every class the same probability."""
    return {
        "loss": math.log(classes),
        "top1_error": 1 - 1 / classes,
        "top5_error": 1 - min(5, classes) / classes,
    }


def beside_the_paper(records: Sequence[Record]) -> Markup:
    """Return the section: a table of the runs, the paper if it is comparable, and chance."""
    releases = {release_of(record) for record in records} - {None}
    alone = len(records) == 1
    rows = [_ours(record, alone=alone) for record in records if record.best]
    rows += [
        _evaluated(record, line, alone=alone) for record in records for line in record.evaluations
    ]
    rows += [_theirs(result) for result in RESULTS if result.release in releases]
    counts = {record.classes for record in records}
    rows += [
        [f"chance, {classes:,} classes", *_figures(chance(classes))]
        for classes in sorted(x for x in counts if x)
    ]
    others = [record for record in records if release_of(record) is None]
    notes = [_note(releases, len(others))]
    if None in counts:
        text = "Chance is not shown for a run whose folder does not say how many classes there are."
        notes.append(element("p", text))
    head = ("", "top-1 error", "top-5 error", "loss")
    shown = table(head, rows, class_="numbers") if rows else None
    return section("paper", "Beside the paper", notes, shown)


def _ours(record: Record, *, alone: bool) -> list[Any]:
    best = record.best or {}
    views = _views(record.setting("evaluate.views", 1))
    after = f"epoch {best['epoch']:.0f}, {_images(record)}, {views}"
    name = element("strong", "this run" if alone else foreign(record.name))
    return [[name, element("div", after, class_="remark")], *_figures(best)]


def _evaluated(record: Record, line: dict[str, Any], *, alone: bool) -> list[Any]:
    name = element("strong", "this run" if alone else foreign(record.name), ", evaluated")
    images = _images(record, line.get("split", "validation"))
    about = f"step {line['step']}, {images}, {_views(line['views'])}, "
    remark = element("div", about, foreign(line["resize"]), class_="remark")
    return [[name, remark], *_figures(line)]


def _images(record: Record, split: str = "validation") -> str:
    release = release_of(record)
    return f"ILSVRC-{release} {split}" if release else f"its own {split} images"


def _theirs(result: Result) -> list[Any]:
    about = f"{result.source}, ILSVRC-{result.release} {result.split}, {_views(result.views)}"
    name = [f"the paper, {result.net}", element("div", about, class_="remark")]
    return [name, percent(result.top1_error), percent(result.top5_error), ""]


def _views(views: Any) -> str:
    return "one view" if views == 1 else f"{views} views"


def _figures(line: dict[str, float]) -> list[str]:
    columns = {"top1_error": percent, "top5_error": percent, "loss": decimals}
    return [text_of(line[name]) if name in line else "" for name, text_of in columns.items()]


def _note(releases: set, others: int) -> Markup:
    """Return a text on what may be compared."""
    text = []
    if "2012" in releases:
        text.append(
            "For ILSVRC-2012 the paper gives ten views only; one view costs about 1.5 points (on "
            "ILSVRC-2010: 39.0% against 37.5%)."
        )
    if "2010" in releases:
        text.append(
            "For ILSVRC-2010 the paper's numbers are of the 150,000 test images. Ours are of the "
            "validation images unless the row names another split; evaluate --split=test takes the "
            "test images."
        )
    if others:
        one = "This run is" if others == 1 else "These runs are"
        which = "Runs of other images are" if releases else one
        text.append(
            f"{which} not comparable with the paper, whose numbers are of all images and all 1,000 "
            "classes of ILSVRC-2010 and 2012."
        )
    return element("p", " ".join(text))
