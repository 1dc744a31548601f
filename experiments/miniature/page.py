"""miniature.html: the results as one page without network or scripts, for a phone as for a desk."""

import io
import pathlib

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure

from alexnet_jax.analysis.report.markup import Markup, element, table
from experiments.miniature.contents import Found, Section, found, sections
from experiments.miniature.protocol import BASELINE, ENTRIES

NAME = "miniature.html"
TITLE = "The paper in miniature"
SUBJECT = (
    "Krizhevsky, Sutskever and Hinton's experiments (NIPS 2012) at a scale that a laptop can do, "
    "beside the paper's numbers."
)
WIDTH = 4.0  # inches: the drawing's text is read at 390 pixels
COLOURS = {"agrees": "#1a7f37", "disagrees": "#c4321c", "-": "#57606a"}
CURVES = (BASELINE, "dropout", "crops_and_flips", "relu")
STYLE = (pathlib.Path(__file__).parent / "page.css").read_text


def html(folder: pathlib.Path) -> str:
    """Return the page of a folder of records."""
    seen = found(folder)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", TITLE),
        element("style", Markup(STYLE())),
    )
    heading = element("h1", TITLE), element("p", SUBJECT)
    main = element("main", heading, [_section(section, seen) for section in sections(seen)])
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def _section(section: Section, seen: Found) -> Markup:
    figure = {"effects": effects_figure, "curves": curves_figure}.get(section.figure)
    drawn = element("figure", _svg(figure(seen))) if figure and seen.runs else None
    shown = table(section.rows[0], section.rows[1:])
    heading = element("h2", section.title)
    return element("section", heading, element("p", section.words), drawn, shown)


def effects_figure(seen: Found) -> Figure:
    """Draw each entry's difference with its interval, and the paper's number as a cross."""
    entries = [entry for entry in ENTRIES if seen.effects.get(entry.name)]
    figure, axes = pyplot.subplots(figsize=(WIDTH, 0.8 + 0.3 * len(entries)), layout="constrained")
    axes.axvline(0, color="#8c959f", linewidth=1)
    for i, entry in enumerate(entries):
        effect = seen.effects[entry.name]
        assert effect
        colour = COLOURS.get(seen.verdict(entry), "#9a6700")
        if effect.low is not None and effect.high is not None:
            axes.plot([effect.low, effect.high], [i, i], color=colour, linewidth=2)
        axes.plot(effect.mean, i, "o", color=colour)
        if entry.paper:
            axes.plot(entry.paper[0], i, "x", color="black")
    axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
    axes.invert_yaxis()
    axes.set_xlabel("points more (cross: the paper)")
    return figure


def curves_figure(seen: Found) -> Figure:
    """Draw the mean held-out error by epoch of some entries."""
    figure, axes = pyplot.subplots(figsize=(WIDTH, 3), layout="constrained")
    for name in CURVES:
        if runs := seen.of(name):
            rows = [[100 * line["top1_error"] for line in run.validations] for run in runs]
            epochs = [line["epoch"] for line in runs[0].validations]
            axes.plot(epochs, [sum(row) / len(row) for row in zip(*rows, strict=True)], label=name)
    axes.set(xlabel="epoch", ylabel="top-1 error, held-out images, %")
    if axes.lines:
        axes.legend(title="without (relu: with tanh)", fontsize="small", title_fontsize="small")
    return figure


def _svg(figure: Figure) -> Markup:
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "alexnet", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    drawing = file.getvalue()
    return Markup(drawing[drawing.index("<svg") :])
