"""Line charts as inline SVG, with ticks, marks, and values under the pointer; without a script."""

import bisect
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

from alexnet_jax.analysis.report.markup import Markup, element

WIDTH, HEIGHT = 440, 240  # units of the drawing; small enough that a phone can read its text
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 38  # margins for the axes and their numbers
MOST = 400  # points of a line; more are drawn as means with their range
TICKS = 5  # of an axis, about
STRIPS = 60  # parts of the x axis that show values under the pointer

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
      name: shown with the values under the pointer.
      points: (x, y), x ascending.
      style: CSS classes.
      dots: whether each point gets a dot.
      held: whether a value holds until the next one, as a learning rate does.
    """

    name: str
    points: Sequence[Point]
    style: str
    dots: bool = False
    held: bool = False


@dataclasses.dataclass(frozen=True)
class Axis:
    """A scale from values to coordinates of the drawing.

    Attributes:
      low, high: the values at its ends.
      start, end: their coordinates.
      step: distance of the ticks; 0: logarithmic, with a tick for each power of ten.
    """

    low: float
    high: float
    start: float
    end: float
    step: float

    def at(self, value: float) -> float:
        """Return the coordinate of a value."""
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
        """Return the ticks as text, with as many decimals as they need to differ."""
        if not self.step:
            return [f"{tick:g}" for tick in self.ticks()]
        factor, sign = (100, "%") if percents else (1, "")
        digits = max(0, -math.floor(math.log10(self.step * factor) + 1e-9))
        return [f"{tick * factor:.{digits}f}{sign}" for tick in self.ticks()]


def round_step(span: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that fits into span TICKS times."""
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * TICKS >= span)


def axis(values: Iterable[float], start: float, end: float, *, log: bool = False) -> Axis:
    """Return an axis with round ends around the values; logarithmic only if all are above 0."""
    values = list(values)
    low, high = min(values), max(values)
    if log and low > 0:
        lower, upper = math.floor(math.log10(low)), math.ceil(math.log10(high))
        alone = lower == upper  # one power of ten: in the middle
        return Axis(10.0 ** (lower - alone), 10.0 ** (upper + alone), start, end, step=0)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    step = round_step(high - low)
    return Axis(math.floor(low / step) * step, math.ceil(high / step) * step, start, end, step)


def thinned(points: Sequence[Point], most: int = MOST) -> list[tuple[float, float, float, float]]:
    """Return (mean x, mean y, lowest y, highest y) of at most `most` groups of neighbours."""
    size = -(-len(points) // most) or 1
    groups = []
    for begin in range(0, len(points), size):
        xs, ys = zip(*points[begin : begin + size], strict=True)
        groups.append((sum(xs) / len(xs), sum(ys) / len(ys), min(ys), max(ys)))
    return groups


def plain(value: float) -> str:
    """Return a value with four figures."""
    return f"{value:.4g}"


def decimals(value: float) -> str:
    """Return a value with three decimals."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """Return a fraction in the paper's form: 40.7%."""
    return f"{100 * value:.1f}%"


def chart(
    title: str,
    series: Sequence[Series],
    *,
    text_of: Callable[[float], str] = plain,
    log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    levels: Sequence[tuple[float, str]] = (),
    across: str = "epoch",
) -> Markup:
    """Return a figure of lines; x starts at 0.

    Args:
      title: the heading.
      series: the lines.
      text_of: gives a value as text.
      log: whether y is logarithmic.
      marks: (x, text), vertical lines.
      levels: (y, text), horizontal lines.
      across: name of x.
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
        _frame(xs, ys, across, percents=text_of is percent),
        [_mark(xs, *mark) for mark in marks],
        [_line(xs, ys, line) for line in series],
        [_level(xs, ys, *level) for level in levels],
        _strips(xs, series, text_of, across),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{title} by {across}",
    )
    return element("figure", heading, drawn, class_="chart")


def _frame(xs: Axis, ys: Axis, across: str, *, percents: bool) -> list[Markup]:
    """Draw the axes with their numbers."""
    drawn = []
    for y, label in zip(ys.ticks(), ys.labels(percents=percents), strict=True):
        at = _number(ys.at(y))
        drawn.append(element("path", d=f"M{LEFT} {at}H{WIDTH - RIGHT}", class_="grid"))
        drawn.append(element("text", label, x=LEFT - 6, y=at, dy="0.35em", class_="end"))
    for x, label in zip(xs.ticks(), xs.labels(), strict=True):
        at = _number(xs.at(x))
        drawn.append(element("path", d=f"M{at} {HEIGHT - BOTTOM}v4", class_="axis"))
        drawn.append(element("text", label, x=at, y=HEIGHT - BOTTOM + 17, class_="middle"))
    drawn.append(element("path", d=f"M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}", class_="axis"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(element("text", across, x=middle, y=HEIGHT - 4, class_="middle"))
    return drawn


def _level(xs: Axis, ys: Axis, y: float, text: str) -> Markup:
    at = _number(ys.at(y))
    line = element("path", d=f"M{_number(xs.start)} {at}H{_number(xs.end)}")
    label = element("text", text, x=_number(xs.end), y=at, dy="-0.35em", class_="end")
    return element("g", line, label, class_="level")


def _mark(xs: Axis, x: float, text: str) -> Markup:
    line = f"M{_number(xs.at(x))} {TOP}V{HEIGHT - BOTTOM}"
    return element("g", element("path", element("title", text), d=line), class_="mark")


def _line(xs: Axis, ys: Axis, series: Series) -> Markup:
    """Draw a line; of too many points it draws means with their range."""

    def at(x: float, y: float) -> str:
        return f"{_number(xs.at(x))} {_number(ys.at(y))}"

    if series.held:
        first, *later = (at(*point).split() for point in series.points)
        stairs = f"M{' '.join(first)}" + "".join(f"H{x}V{y}" for x, y in later)
        return element("g", element("path", d=stairs, class_="line"), class_=series.style)
    groups = thinned(series.points)
    points = [at(x, y) for x, y, _, _ in groups]
    drawn = [element("path", d=f"M{' '.join(points)}", class_="line")]
    if len(groups) < len(series.points):
        upper = [at(x, high) for x, _, _, high in groups]
        lower = [at(x, low) for x, _, low, _ in groups]
        drawn.insert(0, element("path", d=f"M{' '.join(upper + lower[::-1])}Z", class_="range"))
    if series.dots:
        radius = 2.5 if len(points) <= 30 else 1.5
        for x, y in (point.split() for point in points):
            drawn.append(element("circle", cx=x, cy=y, r=radius))
    return element("g", drawn, class_=series.style)


def _strips(
    xs: Axis, series: Sequence[Series], text_of: Callable[[float], str], across: str
) -> list[Markup]:
    """Return invisible strips over the drawing; under the pointer each shows the values so far."""
    width, drawn = (xs.end - xs.start) / STRIPS, []
    for k in range(STRIPS):
        end = xs.high * (k + 1) / STRIPS
        lines = [f"{across} {end:.3g}"]
        for line in series:
            if count := bisect.bisect_right(line.points, end * (1 + 1e-9), key=lambda p: p[0]):
                lines.append(f"{line.name}: {text_of(line.points[count - 1][1])}")
        box = {"x": _number(xs.start + width * k), "y": TOP, "width": _number(width)}
        box |= {"height": HEIGHT - BOTTOM - TOP, "class_": "strip"}
        drawn.append(element("rect", element("title", "\n".join(lines)), **box))
    return drawn


def _number(value: float) -> str:
    return f"{value:.1f}"
