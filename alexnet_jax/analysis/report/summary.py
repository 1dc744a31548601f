"""Show how far a run is, its best figures and the time it takes."""

import statistics
from collections.abc import Sequence

from alexnet_jax.analysis.report.chart import decimals, percent, plain
from alexnet_jax.analysis.report.markup import Markup, element, foreign
from alexnet_jax.analysis.report.run_record import Record
from alexnet_jax.system.progress import counted, duration


def subject(record: Record) -> str:
    """Return a run's net, classes and images in one line."""
    source = str(record.setting("data.dir", "")).rstrip("/").rpartition("/")[2]
    builder = str(record.setting("data.builder", "images"))
    of = {
        "ilsvrc": f"ILSVRC-{record.setting('data.release', '2012')}",
        "shapes": "drawn shapes",
        "cifar10": "CIFAR-10",
        "tiny_imagenet": "Tiny ImageNet",
        "image_folder": f"the folder {source}",
    }
    parts = [f"arch {record.setting('model.arch', 'not known')}"]
    if record.arch and record.arch.width != 1:
        parts.append(f"width {record.arch.width:g}")
    if record.classes:
        parts.append(f"{record.classes:,} classes")
    if train := record.images("train"):
        about = "" if record.train_images else "about "
        parts.append(f"{about}{train:,} training images")
    return f"{', '.join(parts)} of {of.get(builder, builder)}"


def progress(record: Record) -> Markup:
    """Return how far a run is, in words and as a bar."""
    done, total = record.epoch, record.epochs
    if not record.lines:
        text = "Nothing logged yet"
    elif record.finished:
        text = f"Finished: {counted(total or 0, 'epoch')}"
    else:
        text = f"Epoch {done:.3g}" + (f" of {total:g}" if total else "")
        if left := remaining(record):
            text += f", about {duration(left)} left at this speed"
    share = min(1.0, done / total) if total else 0.0
    bar = element("span", element("span", style=f"width:{share:.1%}"), class_="bar")
    return element("div", element("strong", text), bar, class_="progress")


def figures(record: Record) -> list[tuple[str, str, str]]:
    """Return (name, value, remark) of the main figures."""
    rows = []
    if best := record.best:
        at = f"validation, epoch {best['epoch']:.0f}"
        rows.append(("best top-1 error", percent(best["top1_error"]), at))
        if "top5_error" in best:
            rows.append(("top-5 error", percent(best["top5_error"]), at))
        if "loss" in best:
            rows.append(("loss", decimals(best["loss"]), at))
    if speed := images_per_second(record):
        text = f"{speed:,.0f}" if speed >= 10 else plain(speed)
        rows.append(("images/s", text, "training, median"))
    if spent := record.seconds("train") + record.seconds("val"):
        rows.append(("time", duration(spent), "training and validations"))
    return rows


def tiles(record: Record) -> Markup:
    """Return the main figures, large."""
    shown = [
        element(
            "div", element("dt", name), element("dd", value), element("dd", remark, class_="remark")
        )
        for name, value, remark in figures(record)
    ]
    return element("dl", shown, class_="tiles") if shown else Markup()


def side_by_side(records: Sequence[Record]) -> Markup:
    """Return several runs as cards, each with its colour in the charts."""
    cards = [
        element(
            "div",
            element("h3", swatch(k), foreign(record.name)),
            element("p", subject(record), class_="remark"),
            progress(record),
            tiles(record),
        )
        for k, record in enumerate(records)
    ]
    return element("div", cards, class_="side")


def swatch(k: int, style: str = "val") -> Markup:
    """Return a stroke in the colour of line k of the charts."""
    line = element("path", d="M0 5H24", class_="line")
    return element(
        "svg",
        element("g", line, class_=f"{style} {colour_class(k)}"),
        viewBox="0 0 24 10",
        class_="swatch",
        aria_hidden="true",
    )


def colour_class(k: int) -> str:
    """Return the CSS class of colour k; there are seven colours."""
    return f"s{k % 7}"


def images_per_second(record: Record) -> float | None:
    """Return the median over the lines of training."""
    speeds = [value for _, value in record.of("train", "images_per_second")]
    return statistics.median(speeds) if speeds else None


def remaining(record: Record) -> float | None:
    """Return the seconds to the end at the speed so far; None if it is unknown."""
    if record.finished or not record.epochs or not record.epoch:
        return None
    spent = record.seconds("train") + record.seconds("val")
    return max(0.0, record.epochs - record.epoch) * spent / record.epoch


def time_rows(record: Record) -> list[tuple[str, str]]:
    """Return (name, time) of training and validations, and the share of waiting for data."""
    rows = []
    for name, split in (("training", "train"), ("validations", "val")):
        if seconds := record.seconds(split):
            rows.append((name, duration(seconds)))
    waits = [wait for _, wait in record.of("train", "data_wait_ms")]
    steps = [step for _, step in record.of("train", "step_ms")]
    if waits and (total := sum(waits) + sum(steps)):
        rows.append(("training that waited for data", percent(sum(waits) / total)))
    return rows
