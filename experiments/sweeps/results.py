"""Results of a sweep: errors of each setting, differences to the first, a table, a picture."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot
from rich.table import Table

from experiments.support import pictures
from experiments.support.seed_statistics import difference, mean_and_deviation
from experiments.sweeps.runs import Run, Setting

# Of the last validation, and of the one with the lowest top-1 error (the checkpoint "best").
FIGURES = ("final_top1_error", "final_top5_error", "best_top1_error", "best_top5_error")


def validations(run: Run) -> list[dict[str, Any]]:
    """Return the run's lines of metrics.jsonl that are validations."""
    text = (run.workdir / "metrics.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["split"] == "val"]


def figures(run: Run) -> dict[str, float]:
    """Return the errors of a finished run, fractions."""
    lines = validations(run)
    # Of equal errors the latest, as in Orbax.
    best = min(lines, key=lambda line: (line["top1_error"], -line["step"]))
    return {
        f"{kind}_{name}": line[name]
        for kind, line in (("final", lines[-1]), ("best", best))
        for name in ("top1_error", "top5_error")
    }


def summary(settings: Sequence[Setting], finished: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a row for each setting: for each figure n, mean, sd, and the difference to the first.

    Differences and their 95 % intervals are None for the first setting, and where runs are missing.
    """
    errors = {run: figures(run) for run in finished}
    rows = []
    for setting in settings:
        row: dict[str, Any] = {"setting": setting.name, "overrides": dict(setting.overrides)}
        for name in FIGURES:
            first, these = (
                {run.seed: values[name] for run, values in errors.items() if run.setting == one}
                for one in (settings[0], setting)
            )
            row[name] = _figure(these)
            if setting != settings[0] and first and these:
                row[name]["difference"] = dataclasses.asdict(difference(first, these))
        rows.append(row)
    return rows


def _figure(errors: dict[int, float]) -> dict[str, Any]:
    values = [errors[seed] for seed in sorted(errors)]
    mean, deviation = mean_and_deviation(values) if values else (None, None)
    return {"n": len(values), "mean": mean, "sd": deviation, "values": values, "difference": None}


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for a terminal, errors and differences in percent points."""
    names = [name.replace("_error", "").replace("_", " ") for name in FIGURES]
    shown = Table(
        *("setting", "n", *names),
        title="Validation errors in %, mean ± standard deviation; difference to the first, "
        "95 % interval (u: not paired by seed)",
        title_justify="left",
    )
    for row in rows:
        cells = [f"{_mean_text(row[name])}\n{interval_text(row[name])}".strip() for name in FIGURES]
        shown.add_row(row["setting"], str(row[FIGURES[0]]["n"]), *cells)
    return shown


def _mean_text(figure: dict[str, Any]) -> str:
    if not figure["n"]:
        return "-"
    sd = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.2f}"
    return f"{100 * figure['mean']:.2f}{sd}"


def interval_text(figure: dict[str, Any]) -> str:
    """Return a difference in percent points with its interval; "" where there is none."""
    if (delta := figure["difference"]) is None:
        return ""
    text = f"{100 * delta['mean']:+.2f}"
    if delta["low"] is None:
        return f"{text} (n = {delta['n']}: too few)"
    text += f" [{100 * delta['low']:+.2f}, {100 * delta['high']:+.2f}]"
    return text if delta["paired"] else f"{text} u"


def label(setting: Setting) -> str:
    """Return a name for a picture: fields without their section, one a line."""
    if setting.name != ",".join(f"{field}={value}" for field, value in setting.overrides):
        return setting.name
    last = [field.rpartition(".")[2] for field, _ in setting.overrides]
    short = [
        # lrn.enabled and spatial_norm.enabled: the section tells them apart
        end if last.count(end) == 1 and end != "enabled" else ".".join(field.split(".")[-2:])
        for end, (field, _) in zip(last, setting.overrides, strict=True)
    ]
    rows = zip(short, (value for _, value in setting.overrides), strict=True)
    return "\n".join(f"{name}={value}" for name, value in rows)


def draw(settings: Sequence[Setting], finished: Sequence[Run], path: pathlib.Path) -> None:
    """Draw each run's last top-1 error by setting, and the means of each setting by epoch."""
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(11, 1.5 + max(3, 0.5 * len(settings))), layout="constrained"
    )
    for i, setting in enumerate(settings):
        curves = [validations(run) for run in finished if run.setting == setting]
        if not curves:
            continue
        last = [100 * curve[-1]["top1_error"] for curve in curves]
        mean, deviation = mean_and_deviation(last)
        left.plot(last, [i] * len(last), "o", color=f"C{i % 10}", alpha=0.5)
        left.errorbar(mean, i, xerr=deviation or 0, fmt="|", color="black", capsize=3)
        epochs = [line["epoch"] for line in min(curves, key=len)]
        errors = [[100 * line["top1_error"] for line in curve] for curve in curves]
        means = [sum(row) / len(row) for row in zip(*errors, strict=False)]
        style = {"color": f"C{i % 10}", "linestyle": "-" if i < 10 else "--"}
        right.plot(epochs, means, marker="o" if len(means) == 1 else "", **style)
    labels = [label(setting) for setting in settings]
    left.set_yticks(range(len(settings)), labels, fontsize="small")
    left.invert_yaxis()
    left.set(xlabel="last top-1 validation error, %: runs, mean ± standard deviation")
    right.set(xlabel="epoch", ylabel="mean top-1 validation error, %, colours as on the left")
    pictures.save(figure, path)
