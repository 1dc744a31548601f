"""Draw the curves of a run, or of several in one picture, and list its validations."""

import itertools
from collections.abc import Callable, Sequence

from alexnet_jax.analysis.report import paper
from alexnet_jax.analysis.report.chart import Point, Series, chart, decimals, percent
from alexnet_jax.analysis.report.markup import Markup, details, element, foreign, section, table
from alexnet_jax.analysis.report.run_record import Record
from alexnet_jax.analysis.report.summary import colour_class, swatch
from alexnet_jax.system.progress import counted

FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "loss": ("Loss, nats", decimals),
    "top1_error": ("Top-1 error", percent),
    "top5_error": ("Top-5 error", percent),
}


def curves(records: Sequence[Record]) -> Markup:
    """Return the section: loss, errors and learning rate by epoch."""
    alone = records[0] if len(records) == 1 else None
    marks = [
        (epoch, f"{old:g} to {new:g} at epoch {epoch:.4g}")
        for epoch, old, new in (alone.drops if alone else ())
    ]
    charts = [
        chart(
            title,
            _lines(records, name),
            text_of=text_of,
            marks=marks,
            levels=_levels(records, name),
        )
        for name, (title, text_of) in FIGURES.items()
    ]
    charts.append(chart("Learning rate", _rate_lines(records), log=True, marks=marks))
    return section(
        "curves",
        "Curves",
        _legend(records, marked=bool(marks)),
        element("div", charts, class_="charts"),
        element("p", f"Learning rate: {'; '.join(text for _, text in marks)}.") if marks else None,
        [element("p", foreign(x.name), text) for x in records if (text := _by_hand(x))],
        [_validations(record, named=not alone) for record in records if record.validations],
    )


def _lines(records: Sequence[Record], name: str) -> list[Series]:
    """Return the lines of a chart: training faint, validation strong, a colour for each run."""
    lines = []
    for k, record in enumerate(records):
        run, val = (f"{record.name}, ", k) if len(records) > 1 else ("", 1)
        train_style, val_style = f"train {colour_class(k)}", f"val {colour_class(val)}"
        lines.append(Series(f"{run}train", record.of("train", name), train_style))
        lines.append(Series(f"{run}validation", record.of("val", name), val_style, dots=True))
    return [line for line in lines if line.points]


def _rate_lines(records: Sequence[Record]) -> list[Series]:
    lines = []
    for k, record in enumerate(records):
        name = record.name if len(records) > 1 else "rate"
        lines.append(Series(name, rate_points(record), f"val {colour_class(k)}", held=True))
    return [line for line in lines if line.points]


def rate_points(record: Record) -> list[Point]:
    """Return (epoch, learning rate) at the beginning, at each change and at the end.

    A line has the learning rate of the update before it: a new rate holds since the line before.
    """
    rates = [(x["epoch"], x["learning_rate"]) for x in record.lines if "learning_rate" in x]
    if not rates:
        return []
    changes = [(at, new) for (at, old), (_, new) in itertools.pairwise(rates) if new != old]
    return [(0.0, rates[0][1]), *changes, rates[-1]]


def _by_hand(record: Record) -> str:
    changes = [f"{rate:g} from step {step:,} on" for step, rate in record.by_hand]
    return f": the learning rate was set by hand, {', '.join(changes)}." if changes else ""


def _levels(records: Sequence[Record], name: str) -> list[tuple[float, str]]:
    """Return levels to compare with: chance, and the paper's if it is of the same images."""
    levels, (_, text_of) = [], FIGURES[name]
    counts = {record.classes for record in records}
    if len(counts) == 1 and (classes := counts.pop()):
        value = paper.chance(classes)[name]
        levels.append((value, f"chance {text_of(value)}"))
    releases = {paper.release_of(record) for record in records}
    theirs = paper.of_one_net(releases.pop()) if len(releases) == 1 else None
    if theirs and name != "loss":
        value = getattr(theirs, name)
        levels.append((value, f"the paper, ten views: {text_of(value)}"))
    return levels


def _legend(records: Sequence[Record], *, marked: bool) -> Markup:
    if len(records) == 1:
        every = records[0].number("log.every_steps")
        means = f" (means of {counted(every, 'step')})" if every else ""
        train = swatch(0, "train"), f"train{means}"
        keys: list[tuple[str, str]] = [train, (swatch(1), "validation")]
    else:
        keys = [(swatch(k), foreign(record.name)) for k, record in enumerate(records)]
        keys.append(("", "faint: train; dots: validation"))
    if marked:
        keys.append(("", "upright lines: the rate drops"))
    return element("p", [element("span", key) for key in keys], class_="legend")


def _validations(record: Record, *, named: bool) -> Markup:
    """Return the table of all validations, folded."""
    head = ("epoch", "step", "rate", "loss", "top-1 error", "top-5 error", "images/s")
    rows = []
    for line in record.validations:
        figures = [show(line[name]) if name in line else "" for name, (_, show) in FIGURES.items()]
        rate = f"{line['learning_rate']:g}" if "learning_rate" in line else ""
        speed = f"{line['images_per_second']:.0f}" if "images_per_second" in line else ""
        row = [f"{line['epoch']:.4g}", f"{line['step']:,}", rate, *figures, speed]
        rows.append([element("strong", x) for x in row] if line is record.best else row)
    of = [" of ", foreign(record.name)] if named else None
    return details(
        [f"Table of {len(rows)} validations", of, ", the best in bold"],
        table(head, rows, class_="numbers"),
    )
