"""Draw the share of colour of each column's filters: a dot for each, on a line from 0 to 1."""

from collections.abc import Sequence

from alexnet_jax.analysis.report.chart import Point, Series, chart
from alexnet_jax.analysis.report.markup import Markup, element, table
from alexnet_jax.analysis.report.summary import colour_class, swatch

WIDTH = 200  # units of the drawing, for shares from 0 to 1
EXPLANATION = (
    "The share of a filter's energy (its squared weights) that responds to colour: 0 sees "
    "brightness only, 1 sees colour only, noise has 2/3. Each dot is a filter, the "
    "stroke is the column."
)


def colour_shares(content: dict) -> list[Markup]:
    """Return a table, a sentence and a chart of the content of colour.json (analysis/colour.py)."""
    columns = content["columns"]
    rows = [
        ([swatch(k), f"column {k + 1}"], f"{share:.3f}", _strip(k, share, filters))
        for k, (share, filters) in enumerate(zip(columns, content["per_filter"], strict=True))
    ]
    parts = [element("p", EXPLANATION), table(("", "share", "0 to 1"), rows, class_="strips")]
    if (difference := content["difference"]) is not None:
        text = f"The columns differ by {difference:.3f}."
        if (by_chance := content.get("difference_by_chance")) is not None:
            text += f" Dealt out at random they differ by at most {by_chance:.3f}, 95 times of 100."
        parts.append(element("p", text))
    steps = content["over_steps"]
    lines = [[(x["step"], x["columns"][k]) for x in steps] for k in range(len(columns))]
    return [*parts, over_time(lines, "step")]


def over_time(columns: Sequence[Sequence[Point]], across: str) -> Markup:
    """Draw each column's share over training; nothing if no line has two points.

    Args:
      columns: for each column (step or epoch, share).
      across: "step" or "epoch".
    """
    lines = [
        Series(f"column {k + 1}", points, f"val {colour_class(k)}", dots=True)
        for k, points in enumerate(columns)
        if len(points) > 1
    ]
    if not lines:
        return Markup()
    noise = (2 / 3, "noise 2/3")
    drawn = chart("Share of colour", lines, levels=[noise], across=across)
    keys = [element("span", swatch(k), f"column {k + 1}") for k in range(len(columns))]
    legend = element("p", keys, class_="legend")
    return element("div", legend, element("div", drawn, class_="charts"))


def _strip(column: int, share: float, filters: list[float]) -> Markup:
    """Draw a column's filters on their line, in three rows so that few overlap."""
    dots = [
        element(
            "circle",
            element("title", f"filter {k + 1}: {of_filter:.2f}"),
            cx=f"{WIDTH * of_filter:.1f}",
            cy=8 + 5 * (k % 3),
            r=2,
        )
        for k, of_filter in enumerate(filters)
    ]
    return element(
        "svg",
        element("path", d=f"M0 26H{WIDTH}", class_="axis"),
        dots,
        element("path", d=f"M{WIDTH * share:.1f} 1V25", class_="line"),
        viewBox=f"-3 0 {WIDTH + 6} 28",
        class_=f"strip-plot val {colour_class(column)}",
        role="img",
        aria_label=f"filters of column {column + 1}",
    )
