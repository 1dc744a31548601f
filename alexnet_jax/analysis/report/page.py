"""Write the report: a run's setup, progress and results on one HTML page."""

import datetime
import importlib.resources
import pathlib
from collections.abc import Sequence

from alexnet_jax.analysis.report import config_section, curves, findings, paper, summary
from alexnet_jax.analysis.report.markup import Markup, details, element, foreign, section
from alexnet_jax.analysis.report.run_record import Record, read
from alexnet_jax.errors import ConfigError
from alexnet_jax.run.folder import REPORT_FILE
from alexnet_jax.system.atomic_file import write_atomic

FILTERS = ("filters-of", "Filters of the first layer")  # key and title of a section
# The page can fetch nothing and run nothing, whatever is in a name or a file.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def write(workdirs: Sequence[pathlib.Path], out: pathlib.Path | None = None) -> pathlib.Path:
    """Write the page of a run, or of several side by side, and return its file.

    Args:
      workdirs: the runs' folders.
      out: the file; None: report.html in the folder of the single run.

    Raises:
      CheckpointError: a folder holds no run, or its config.json cannot be read.
      ConfigError: there are several runs and no `out`, or the file cannot be written.
    """
    if out is None and len(workdirs) > 1:
        raise ConfigError(
            f"a page of {len(workdirs)} runs needs a file of its own: give --out=FILE"
        )
    records = [read(path, name) for path, name in zip(workdirs, _names(workdirs), strict=True)]
    out = out or workdirs[0] / REPORT_FILE
    write_atomic(out, page(records), ConfigError)
    return out


def page(records: Sequence[Record]) -> Markup:
    """Return the whole page of one run or of several."""
    body = _of_one(records[0]) if len(records) == 1 else _of_several(records)
    title = ", ".join(record.name for record in records)
    style = importlib.resources.files(__package__).joinpath("report.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("link", rel="icon", href="data:,"),  # else a browser asks for one
        element("title", f"{title} - AlexNet"),
        element("style", Markup(style)),
    )
    whole = element("html", head, element("body", body, _foot(records)), lang="en")
    return Markup(f"<!doctype html>\n{whole}\n")


def _of_one(record: Record) -> list[Markup]:
    heading = element(
        "header",
        element("h1", foreign(record.name)),
        element("p", summary.subject(record), class_="subject"),
        summary.progress(record),
        summary.tiles(record),
    )
    text = "As in figure 3 of the paper, all on one scale, after the last validation."
    return [
        heading,
        curves.curves([record]),
        paper.beside_the_paper([record]),
        section(*FILTERS, findings.filters(record), element("p", text, class_="remark")),
        *findings.findings(record),
        config_section.against_the_recipe(record),
        config_section.environment(record),
    ]


def _of_several(records: Sequence[Record]) -> list[Markup]:
    heading = f"{len(records)} runs side by side"
    filters = [
        element("div", element("h3", foreign(record.name)), findings.filters(record))
        for record in records
    ]
    each = [
        details(
            foreign(record.name),
            findings.findings(record),
            config_section.against_the_recipe(record),
            config_section.environment(record),
        )
        for record in records
    ]
    return [
        element("header", element("h1", heading), summary.side_by_side(records)),
        curves.curves(records),
        paper.beside_the_paper(records),
        config_section.between_runs(records),
        section(*FILTERS, element("div", filters, class_="side")),
        section("each", "Each run", each),
    ]


def _foot(records: Sequence[Record]) -> Markup:
    now = datetime.datetime.now(datetime.UTC)
    text = [f"Written {now:%Y-%m-%d %H:%M} UTC by alexnet_jax."]
    for record in records:
        if record.damaged:
            lines = "line is" if record.damaged == 1 else "lines are"
            text.append(
                f"{record.damaged} damaged {lines} left out of {record.name}'s metrics.jsonl."
            )
    return element("footer", " ".join(text))


def _names(workdirs: Sequence[pathlib.Path]) -> list[str]:
    """Return a different name for each run, short where possible."""
    names = [path.resolve().name for path in workdirs]
    return names if len(set(names)) == len(names) else [str(path) for path in workdirs]
