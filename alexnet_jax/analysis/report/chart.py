"""Line charts as inline SVG: ticks, marks, and the values under the pointer without a script."""

import bisect
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

from alexnet_jax.analysis.report.markup import Markup, element

WIDTH, HEIGHT = 440, 240  # units of the drawing; small enough that a phone can read its text
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 38  # what axes and their numbers take
MOST = 400  # points of a line; more are drawn as means with the range around them
STRIPS = 60  # stretches that tell their values

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
      name: what it is, for the values under the pointer.
      points: (x, y), x not falling.
      style: its CSS classes.
      dots: whether each point is drawn, too.
      held: whether a value holds until the next, as a rate does.
    """

    name: str
    points: Sequence[Point]
    style: str
    dots: bool = False
    held: bool = False


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where values lie between two places of the drawing.

    Attributes:
      low, high: the values at its ends.
      start, end: the places of these.
      step: from tick to tick; 0: logarithmic, a tick for each power of ten.
    """

    low: float
    high: float
    start: float
    end: float
    step: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        scale = float if self.step else math.log
        low, high, value = map(scale, (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the round values between the ends."""
        if not self.step:
            powers = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            return [10.0**power for power in powers]
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [number * self.step for number in range(first, last + 1)]

    def labels(self, *, percents: bool = False) -> list[str]:
        """Return the ticks as they are written, with as many decimals as tell them apart."""
        if not self.step:
            return [f"{tick:g}" for tick in self.ticks()]
        factor, sign = (100, "%") if percents else (1, "")
        digits = max(0, -math.floor(math.log10(self.step * factor) + 1e-9))
        return [f"{tick * factor:.{digits}f}{sign}" for tick in self.ticks()]


def round_step(span: float, most: int = 5) -> float:
    """Return the smallest of 1, 2, 5, 10, ... times a power of ten that fits `most` times."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * most >= span)


def axis(values: Iterable[float], start: float, end: float, *, log: bool = False) -> Axis:
    """Return an axis with round ends around the values; logarithmic only where all are above 0."""
    found = list(values)
    low, high = min(found), max(found)
    if log and low > 0:
        lower, upper = math.floor(math.log10(low)), math.ceil(math.log10(high))
        alone = lower == upper  # one power of ten: in the middle
        return Axis(10.0 ** (lower - alone), 10.0 ** (upper + alone), start, end, step=0)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    step = round_step(high - low)
    return Axis(math.floor(low / step) * step, math.ceil(high / step) * step, start, end, step)


def thinned(points: Sequence[Point], most: int = MOST) -> list[tuple[float, float, float, float]]:
    """Return (x, mean, lowest, highest) of at most `most` stretches of neighbouring points."""
    size = -(-len(points) // most) or 1
    found = []
    for begin in range(0, len(points), size):
        xs, ys = zip(*points[begin : begin + size], strict=True)
        found.append((sum(xs) / len(xs), sum(ys) / len(ys), min(ys), max(ys)))
    return found


def plain(value: float) -> str:
    """Return a value with four figures."""
    return f"{value:.4g}"


def decimals(value: float) -> str:
    """Return a value with three decimals."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """Return a fraction as the paper writes it: 40.7%."""
    return f"{100 * value:.1f}%"


def chart(
    title: str,
    series: Sequence[Series],
    *,
    say: Callable[[float], str] = plain,
    log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    levels: Sequence[tuple[float, str]] = (),
    across: str = "epoch",
) -> Markup:
    """Return a figure: lines over x, x from 0.

    Args:
      title: what is drawn, its heading.
      series: the lines.
      say: how a value is written.
      log: whether y is logarithmic.
      marks: (x, what happens there), upright lines.
      levels: (y, what that is), level lines.
      across: what x is.
    """
    heading = element("figcaption", title)
    points = [point for line in series for point in line.points]
    if not points:
        return element("figure", heading, element("p", "Nothing logged yet."), class_="chart")
    xs = axis([0.0, *(x for x, _ in points)], LEFT, WIDTH - RIGHT)
    xs = dataclasses.replace(xs, high=max(x for x, _ in points) or xs.high)
    ys = axis([*(y for _, y in points), *(y for y, _ in levels)], HEIGHT - BOTTOM, TOP, log=log)
    drawn = element(
        "svg",
        _frame(xs, ys, say, across),
        [_mark(xs, *mark) for mark in marks],
        [_line(xs, ys, line) for line in series],
        [_level(xs, ys, *level) for level in levels],
        _strips(xs, series, say, across),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{title} by {across}",
    )
    return element("figure", heading, drawn, class_="chart")


def _frame(xs: Axis, ys: Axis, say: Callable[[float], str], across: str) -> list[Markup]:
    """Draw the axes with their numbers."""
    drawn = []
    for y, said in zip(ys.ticks(), ys.labels(percents=say is percent), strict=True):
        at = _number(ys.at(y))
        drawn.append(element("path", d=f"M{LEFT} {at}H{WIDTH - RIGHT}", class_="grid"))
        drawn.append(element("text", said, x=LEFT - 6, y=at, dy="0.35em", class_="end"))
    for x, said in zip(xs.ticks(), xs.labels(), strict=True):
        at = _number(xs.at(x))
        drawn.append(element("path", d=f"M{at} {HEIGHT - BOTTOM}v4", class_="axis"))
        drawn.append(element("text", said, x=at, y=HEIGHT - BOTTOM + 17, class_="middle"))
    drawn.append(element("path", d=f"M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}", class_="axis"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(element("text", across, x=middle, y=HEIGHT - 4, class_="middle"))
    return drawn


def _level(xs: Axis, ys: Axis, y: float, said: str) -> Markup:
    at = _number(ys.at(y))
    return element(
        "g",
        element("path", d=f"M{_number(xs.start)} {at}H{_number(xs.end)}"),
        element("text", said, x=_number(xs.end), y=at, dy="-0.35em", class_="end"),
        class_="level",
    )


def _mark(xs: Axis, x: float, said: str) -> Markup:
    at = _number(xs.at(x))
    line = element("path", element("title", said), d=f"M{at} {TOP}V{HEIGHT - BOTTOM}")
    return element("g", line, class_="mark")


def _line(xs: Axis, ys: Axis, series: Series) -> Markup:
    """Draw a line; where points are too many, their means and the range around them."""
    if series.held:
        return element(
            "g", element("path", d=_stairs(xs, ys, series), class_="line"), class_=series.style
        )
    found = thinned(series.points)
    places = [(_number(xs.at(x)), _number(ys.at(y))) for x, y, _, _ in found]
    drawn = [element("path", d="M" + " ".join(f"{x} {y}" for x, y in places), class_="line")]
    if len(found) < len(series.points):
        upper = [f"{_number(xs.at(x))} {_number(ys.at(high))}" for x, _, _, high in found]
        lower = [f"{_number(xs.at(x))} {_number(ys.at(low))}" for x, _, low, _ in found]
        outline = " ".join(upper + lower[::-1])
        drawn.insert(0, element("path", d=f"M{outline}Z", class_="range"))
    if series.dots:
        radius = 2.5 if len(places) <= 30 else 1.5
        drawn += [element("circle", cx=x, cy=y, r=radius) for x, y in places]
    return element("g", drawn, class_=series.style)


def _stairs(xs: Axis, ys: Axis, series: Series) -> str:
    """Return the path of values that hold until the next."""
    places = [(_number(xs.at(x)), _number(ys.at(y))) for x, y in series.points]
    (x, y), *later = places
    return f"M{x} {y}" + "".join(f"H{x}V{y}" for x, y in later)


def _strips(
    xs: Axis, series: Sequence[Series], say: Callable[[float], str], across: str
) -> list[Markup]:
    """Return unseen stretches of the drawing, each with the last values up to its end."""
    wide, drawn = (xs.end - xs.start) / STRIPS, []
    places = [[x for x, _ in line.points] for line in series]
    for number in range(STRIPS):
        end = xs.high * (number + 1) / STRIPS
        lines = [f"{across} {end:.3g}"]
        for line, places_of_line in zip(series, places, strict=True):
            if count := bisect.bisect_right(places_of_line, end * (1 + 1e-9)):
                lines.append(f"{line.name}: {say(line.points[count - 1][1])}")
        left, tall = _number(xs.start + wide * number), HEIGHT - BOTTOM - TOP
        told = element("title", "\n".join(lines))
        drawn.append(
            element("rect", told, x=left, y=TOP, width=_number(wide), height=tall, class_="strip")
        )
    return drawn


def _number(value: float) -> str:
    return f"{value:.1f}"
