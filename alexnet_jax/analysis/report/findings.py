"""Show the results of the analysis commands, from the files in a run's analysis/ folder.

For a file that is missing, the page shows the command that makes it. A file with unexpected content
is named, and the rest of the page is not affected.
"""

import json
import shlex

from alexnet_jax.analysis.report.chart import percent
from alexnet_jax.analysis.report.colour_plot import colour_shares, over_time
from alexnet_jax.analysis.report.markup import (
    Markup,
    details,
    element,
    foreign,
    markup,
    picture,
    section,
    table,
)
from alexnet_jax.analysis.report.run_record import Record

MOST = 10  # rows of a table


def filters(record: Record) -> Markup:
    """Return the first layer's filters after the last validation, column above column."""
    try:
        shown = picture((record.workdir / "conv1.png").read_bytes(), "filters of the first layer")
    except (OSError, ValueError):
        return element("p", "No conv1.png yet: training writes it with each validation.")
    columns = record.arch.columns if record.arch else 1
    names = [element("span", f"column {k + 1}") for k in range(columns)]
    grid = element("div", element("div", names, class_="names"), shown, class_="filters")
    if (record.workdir / "analysis" / "colour.json").exists():  # it has a larger chart
        return grid
    return markup([grid, over_time([record.colour(k) for k in range(columns)], "epoch")])


def findings(record: Record) -> list[Markup]:
    """Return a section for each file in analysis/, and one with the commands for missing files."""
    sections = []
    missing: dict[str, list[str]] = {}
    for name, (title, module, draw) in PARTS.items():
        try:
            content = json.loads((record.workdir / "analysis" / f"{name}.json").read_bytes())
            step = element("p", f"At step {content['step']:,}.", class_="remark")
            sections.append(section(name, title, draw(content), step))
        except FileNotFoundError:
            missing.setdefault(module, []).append(title)
        except Exception as error:  # whatever the file holds, the page must be written
            text = f"analysis/{name}.json is not what this page expects: {type(error).__name__}. "
            anew = element("p", text, "Make it anew:", _command(module, record))
            sections.append(section(name, title, anew))
    if missing:
        lines = [
            element("p", ", ".join(titles), _command(module, record))
            for module, titles in missing.items()
        ]
        sections.append(section("missing", "Not looked at yet", lines))
    return sections


def _command(module: str, record: Record) -> Markup:
    """Return the line to type; a folder may have any name."""
    folder = shlex.quote(str(record.workdir))
    line = f"python -m alexnet_jax.analysis.{module} --workdir={folder}"
    return element("code", line, class_="command")


def _predictions(content: dict) -> list[Markup]:
    """Draw images with their five best classes as bars: figure 4 of the paper, left."""
    cards = [
        element(
            "figure",
            picture(image["jpeg"], image["file"]),
            element("figcaption", foreign(image["label"])),
            element("ol", [_bar(x, image["label"]) for x in image["top"]], class_="answers"),
            class_="card",
        )
        for image in content["images"]
    ]
    views = content["views"]
    averaged = "one view" if views == 1 else f"the mean of {views} views"
    text = f"Below each image its class and the five best answers of {averaged}; green is right."
    return [element("p", text), element("div", cards, class_="cards")]


def _bar(answer: dict, label: str) -> Markup:
    share = min(1.0, max(0.0, float(answer["probability"])))
    right = "right" if answer["class"] == label else None
    bar = element("span", style=f"width:{share:.1%}", class_="fill")
    text = foreign(answer["class"]), element("em", percent(share))
    return element("li", bar, *text, class_=right)


def _neighbours(content: dict) -> list[Markup]:
    """Draw images and their neighbours: figure 4 of the paper, right."""
    rows = []
    for image in content["images"]:
        label = element("figcaption", foreign(image["label"]))
        query = element("figure", picture(image["jpeg"], image["file"]), label, class_="query")
        near = [_neighbour(x, image["label"]) for x in image["neighbours"]]
        rows.append(element("div", query, near, class_="near"))
    text = (
        f"Each row starts with a test image. The nearest of {content['searched']:,} training "
        f"images follow, by Euclidean distance in {content['layer']}; those of the same class have "
        "a frame."
    )
    return [element("p", text), *rows]


def _neighbour(image: dict, label: str) -> Markup:
    same = "right" if image["label"] == label else None
    shown = picture(image["jpeg"], image["file"], class_=same)
    distance = element("em", f"{image['distance']:.1f}")
    return element("figure", shown, element("figcaption", foreign(image["label"]), distance))


def _classes(content: dict) -> list[Markup]:
    """Return the classes with most and fewest errors, and the most frequent confusions."""
    lines = [x for x in content["classes"] if x["images"]]
    lines.sort(key=lambda x: (-x["top1_error"], -x["top5_error"]))
    head = ("class", "images", "top-1", "top-5")
    rows = [
        (foreign(x["class"]), f"{x['images']:,}", *(percent(x[f"top{k}_error"]) for k in (1, 5)))
        for x in lines
    ]
    confused = [
        (foreign(x["class"]), foreign(x["taken_for"]), f"{x['images']:,}")
        for x in content["confusions"][:MOST]
    ]
    tables: list[tuple[str, tuple, list]] = [
        ("Most errors", head, rows[:MOST]),
        ("Fewest errors", head, rows[MOST:][: -MOST - 1 : -1]),
        ("Taken for another", ("class", "taken for", "images"), confused),
    ]
    shown = [
        element("div", element("h3", title), table(names, some, class_="numbers"))
        for title, names, some in tables
        if some
    ]
    every = f"All {len(rows):,} classes", table(head, rows, class_="numbers")
    folded = details(*every) if len(rows) > 2 * MOST else Markup()
    return [element("div", shown, class_="side"), folded]


# File -> heading, the command that makes it, and the function that draws it.
PARTS = {
    "colour": ("Share of colour", "colour", colour_shares),
    "predictions": ("Predictions", "figure4", _predictions),
    "neighbours": ("Neighbours in the last hidden layer", "figure4", _neighbours),
    "classes": ("Errors by class", "classes", _classes),
}
