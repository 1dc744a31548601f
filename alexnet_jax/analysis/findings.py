"""What the analysis commands found, from the files they left in a run's analysis/ folder.

Where a file is missing its place says which command makes it; where it is not what is expected,
the place says so and the rest of the page stands.
"""

import json

from alexnet_jax.analysis.chart import Series, chart, percent
from alexnet_jax.analysis.markup import (
    Markup,
    command,
    details,
    element,
    foreign,
    picture,
    section,
    table,
)
from alexnet_jax.analysis.run_record import Record
from alexnet_jax.analysis.standing import colour, swatch

WORST = 10  # classes and confusions that are not folded


def filters(record: Record) -> Markup:
    """Return the first layer's filters, column above column, as the last validation left them."""
    try:
        shown = picture((record.workdir / "conv1.png").read_bytes(), "filters of the first layer")
    except (OSError, ValueError):
        return element("p", "No conv1.png yet: training writes it with each validation.")
    columns = record.net.columns if record.net else 1
    names = [element("span", f"column {k + 1}") for k in range(columns)]
    return element("div", element("div", names, class_="names"), shown, class_="filters")


def found(record: Record) -> list[Markup]:
    """Return a section for each file in analysis/, and one with the commands for the others."""
    sections, missing = [], []
    for name, (title, draw) in PARTS.items():
        line = command(f"python -m alexnet_jax.analysis.{name} --workdir={record.workdir}")
        try:
            content = json.loads((record.workdir / "analysis" / f"{name}.json").read_bytes())
            sections.append(section(name, title, draw(content)))
        except FileNotFoundError:
            missing.append((title, line))
        except Exception as error:  # any shape may come, and none may take the page down
            said = f"analysis/{name}.json is not what this page expects: {type(error).__name__}."
            sections.append(section(name, title, element("p", said, " Make it anew:", line)))
    if missing:
        lines = [element("p", title, line) for title, line in missing]
        sections.append(section("missing", "Not looked at yet", lines))
    return sections


def _step(content: dict) -> Markup:
    return element("p", f"At step {content['step']:,}.", class_="remark")


def _colour(content: dict) -> list:
    """Draw each column's share of colour, with its filters, and the shares over the steps."""
    rows = []
    for number, (share, ofs) in enumerate(
        zip(content["columns"], content["per_filter"], strict=True)
    ):
        dots = [
            element(
                "circle",
                element("title", f"filter {k + 1}: {of:.2f}"),
                cx=f"{200 * of:.1f}",
                cy=8 + 5 * (k % 3),
                r=2,
            )
            for k, of in enumerate(ofs)
        ]
        mark = element("path", d=f"M{200 * share:.1f} 1V25", class_="line")
        strip = element(
            "svg",
            element("path", d="M0 26H200", class_="axis"),
            dots,
            mark,
            viewBox="-3 0 206 28",
            class_=f"strip-plot val {colour(number)}",
            role="img",
            aria_label=f"column {number + 1}",
        )
        rows.append(([swatch(number), f"column {number + 1}"], f"{share:.3f}", strip))
    said = (
        "The share of its weights' energy with which a filter looks at colour: 0 at brightness "
        "only, 1 at colour only; noise has 2/3. A dot is a filter, the stroke the column."
    )
    parts = [element("p", said), table(("", "share", "0 to 1"), rows, class_="strips")]
    if content.get("difference") is not None:
        by_chance = content.get("difference_by_chance")
        chance = (
            f"; dealt out at random, 95 times of 100 at most {by_chance:.3f}"
            if by_chance is not None
            else ""
        )
        parts.append(element("p", f"The columns differ by {content['difference']:.3f}{chance}."))
    over = content.get("over_steps") or []
    if len(over) > 1:
        lines = [
            Series(
                f"column {k + 1}",
                [(x["step"], x["columns"][k]) for x in over],
                f"val {colour(k)}",
                dots=True,
            )
            for k in range(len(content["columns"]))
        ]
        parts.append(element("div", chart("Share by step", lines, across="step"), class_="charts"))
    return [*parts, _step(content)]


def _predictions(content: dict) -> list:
    """Draw images with their five best classes as bars: figure 4 of the paper, left."""
    cards = []
    for image in content["images"]:
        bars = []
        for answer in image["top"]:
            share, right = float(answer["probability"]), answer["class"] == image["label"]
            bar = element("span", style=f"width:{min(1.0, max(0.0, share)):.1%}", class_="fill")
            bars.append(
                element(
                    "li",
                    bar,
                    foreign(answer["class"]),
                    element("em", percent(share)),
                    class_="right" if right else None,
                )
            )
        cards.append(
            element(
                "figure",
                picture(image["jpeg"], image["file"]),
                element("figcaption", foreign(image["label"])),
                element("ol", bars, class_="answers"),
                class_="card",
            )
        )
    views = content.get("views", 1)
    averaged = "one view" if views == 1 else f"the mean of {views} views"
    said = f"Below each image its class and the five best answers of {averaged}; green is right."
    return [element("p", said), element("div", cards, class_="cards"), _step(content)]


def _neighbours(content: dict) -> list:
    """Draw images and what lies nearest to them: figure 4 of the paper, right."""
    rows = []
    for image in content["images"]:
        query = element(
            "figure",
            picture(image["jpeg"], image["file"]),
            element("figcaption", foreign(image["label"])),
            class_="query",
        )
        near = [
            element(
                "figure",
                picture(
                    x["jpeg"], x["file"], class_="right" if x["label"] == image["label"] else None
                ),
                element("figcaption", foreign(x["label"]), element("em", f"{x['distance']:.1f}")),
            )
            for x in image["neighbours"]
        ]
        rows.append(element("div", query, near, class_="near"))
    said = (
        f"First in each row the image asked for, then the nearest of {content['searched']:,} by "
        f"Euclidean distance in {content['layer']}; those of the same class have a frame."
    )
    return [element("p", said), rows, _step(content)]


def _classes(content: dict) -> list:
    """Return the classes with most errors, and what is taken for what."""
    classes = sorted(content["classes"], key=lambda x: (-x["top1_error"], -x["top5_error"]))
    head = ("class", "images", "top-1", "top-5")
    rows = [
        (
            foreign(x["class"]),
            f"{x['images']:,}",
            percent(x["top1_error"]),
            percent(x["top5_error"]),
        )
        for x in classes
    ]
    parts = []
    worst, best = rows[:WORST], rows[WORST:][-WORST:]
    parts.append(element("div", element("h3", "Most errors"), table(head, worst, class_="numbers")))
    if best:
        parts.append(
            element(
                "div", element("h3", "Fewest errors"), table(head, best[::-1], class_="numbers")
            )
        )
    confused = [
        (foreign(x["class"]), foreign(x["taken_for"]), f"{x['images']:,}")
        for x in content.get("confusions", [])
    ]
    if confused:
        parts.append(
            element(
                "div",
                element("h3", "Taken for another"),
                table(("class", "taken for", "images"), confused[:WORST], class_="numbers"),
            )
        )
    every = (
        details(f"All {len(rows):,} classes", table(head, rows, class_="numbers"))
        if len(rows) > 2 * WORST
        else None
    )
    return [element("div", parts, class_="side"), every, _step(content)]


# File and command -> heading, and what draws it.
PARTS = {
    "colour": ("Share of colour", _colour),
    "predictions": ("Predictions", _predictions),
    "neighbours": ("Neighbours in the last hidden layer", _neighbours),
    "classes": ("Errors by class", _classes),
}
