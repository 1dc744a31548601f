"""Charts as SVG: that a point is where the numbers of the axes say."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from alexnet_jax.analysis.report import chart
from alexnet_jax.analysis.report.chart import Series

NUMBER = r"-?\d+(?:\.\d+)?"


def drawn(*series: Series, **options) -> ElementTree.Element:
    figure = ElementTree.fromstring(chart.chart("a figure", series, **options))
    return figure.find("svg")


def scale(svg: ElementTree.Element, css: str, coordinate: str, *, log: bool = False):
    """Return a function from places to values, of the numbers that are written at the axis."""
    places, values = [], []
    for text in svg.iter("text"):
        if text.get("class") == css and re.fullmatch(rf"{NUMBER}(e-\d+)?%?", text.text):
            places.append(float(text.get(coordinate)))
            value = float(text.text.rstrip("%"))
            values.append(value / 100 if text.text.endswith("%") else value)
    assert len(values) >= 2
    fit = np.polyfit(places, np.log(values) if log else values, 1)
    return lambda at: np.exp(np.polyval(fit, at)) if log else np.polyval(fit, at)


def path_of(svg: ElementTree.Element, style: str) -> np.ndarray:
    """Return the places of a line, (points, 2)."""
    (group,) = [g for g in svg.iter("g") if g.get("class") == style]
    (path,) = [p for p in group.iter("path") if p.get("class") == "line"]
    return np.array(re.findall(NUMBER, path.get("d")), float).reshape(-1, 2)


@pytest.mark.parametrize(
    ("text_of", "log", "low", "high"),
    [
        (chart.plain, False, 0.9, 6.9),
        (chart.percent, False, 0.182, 0.999),
        (chart.percent, False, 0.407, 0.4083),
        (chart.plain, True, 1e-5, 0.01),
        (chart.plain, False, -3.0, 1234.0),
    ],
)
def test_points_are_where_the_axes_say(text_of, log, low, high):
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 91.3, 50))
    y = np.exp(rng.uniform(np.log(low), np.log(high), 50)) if log else rng.uniform(low, high, 50)
    svg = drawn(
        Series("run", list(zip(x, y, strict=True)), "val s0", dots=True), text_of=text_of, log=log
    )
    across = scale(svg, "middle", "x")
    up = scale(svg, "end", "y", log=log)
    places = path_of(svg, "val s0")
    # Places have one decimal: a twentieth of a unit, of 372 across and 188 up.
    np.testing.assert_allclose(across(places[:, 0]), x, atol=91.3 / 372 / 10)
    if log:
        np.testing.assert_allclose(up(places[:, 1]), y, rtol=6e-3)
    else:
        np.testing.assert_allclose(up(places[:, 1]), y, atol=(high - low) / 188 / 5)
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle")]
    np.testing.assert_array_equal(circles, places)
    assert places[:, 0].min() >= chart.LEFT and places[:, 0].max() <= chart.WIDTH - chart.RIGHT
    assert places[:, 1].min() >= chart.TOP and places[:, 1].max() <= chart.HEIGHT - chart.BOTTOM


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([0, 5.6], False, [0, 2, 4, 6]),
        ([2.7, 3.92], False, [2.5, 3, 3.5, 4]),
        ([0.771, 0.94], False, [0.75, 0.8, 0.85, 0.9, 0.95]),
        ([0.01, 0.01], True, [0.001, 0.01, 0.1]),
        ([0.01, 0.00001], True, [1e-5, 1e-4, 1e-3, 1e-2]),
        ([0.02, 0.002], True, [1e-3, 1e-2, 1e-1]),
        ([0.0, 0.01], True, [0, 0.002, 0.004, 0.006, 0.008, 0.01]),  # no logarithm of 0
        ([-0.2, 0.67], False, [-0.2, 0, 0.2, 0.4, 0.6, 0.8]),
        ([3, 3], False, [1, 2, 3, 4, 5]),
        ([0, 0], False, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
    ],
)
def test_axes_end_at_round_numbers(values, log, ticks):
    found = chart.axis(values, 0, 100, log=log)
    np.testing.assert_allclose(found.ticks(), ticks, atol=1e-12)
    assert found.at(found.low) == 0 and found.at(found.high) == 100


def test_too_many_points_are_means_with_their_range():
    rng = np.random.default_rng(1)
    x, y = np.arange(9000.0), rng.normal(size=9000)
    points = list(zip(x, y, strict=True))
    found = np.array(chart.thinned(points, 400))
    groups = [np.arange(k, min(k + 23, 9000)) for k in range(0, 9000, 23)]  # ceil(9000 / 400)
    assert len(found) == len(groups) <= 400
    for row, group in zip(found, groups, strict=True):
        expected = x[group].mean(), y[group].mean(), y[group].min(), y[group].max()
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-12)
    svg = drawn(Series("run", points, "train s0"))
    assert len(path_of(svg, "train s0")) == 392
    assert [p for p in svg.iter("path") if p.get("class") == "range"]
    few = drawn(Series("run", points[:400], "train s0"))
    assert len(path_of(few, "train s0")) == 400
    assert not [p for p in few.iter("path") if p.get("class") == "range"]


def test_a_rate_holds_until_it_changes():
    svg = drawn(
        Series("rate", [(0, 0.01), (25, 0.001), (90, 0.001)], "val s0", held=True), log=True
    )
    (path,) = [p.get("d") for p in svg.iter("path") if p.get("class") == "line"]
    left, top, right, bottom = 56.0, 14.0, 428.0, 202.0
    at = left + 25 / 90 * (right - left)
    assert path == f"M{left} {top}H{at:.1f}V{bottom}H{right}V{bottom}"


def test_what_is_under_the_pointer_is_the_last_value_so_far():
    line = Series("run a", [(1, 0.9), (2, 0.5), (4, 0.25)], "val s0")
    strips = [
        s for s in drawn(line, text_of=chart.percent).iter("rect") if s.get("class") == "strip"
    ]
    told = [strip.find("title").text for strip in strips]
    for number, text in enumerate(told, start=1):
        x = 4 * number / len(told)
        expected = "" if x < 1 else "90.0%" if x < 2 else "50.0%" if x < 4 else "25.0%"
        assert text.partition("run a: ")[2] == expected, x
    starts = [float(strip.get("x")) for strip in strips]
    assert math.isclose(starts[0], chart.LEFT)
    np.testing.assert_allclose(np.diff(starts), 372 / len(strips), atol=0.11)


def test_marks_and_levels_lie_at_their_values():
    line = Series("run", [(0, 1.0), (10, 5.0)], "val s0")
    svg = drawn(line, marks=[(5, "0.01 to 0.001")], levels=[(3.0, "chance 3")])
    (mark,) = [g.find("path") for g in svg.iter("g") if g.get("class") == "mark"]
    assert mark.find("title").text == "0.01 to 0.001"
    middle = (chart.LEFT + chart.WIDTH - chart.RIGHT) / 2
    assert mark.get("d").startswith(f"M{middle:.1f} ")
    (level,) = [g for g in svg.iter("g") if g.get("class") == "level"]
    assert level.find("text").text == "chance 3"
    assert float(level.find("text").get("y")) == (chart.TOP + chart.HEIGHT - chart.BOTTOM) / 2


def test_nothing_to_draw_is_said():
    figure = ElementTree.fromstring(chart.chart("Loss", []))
    assert figure.find("p").text == "Nothing logged yet." and figure.find("svg") is None
