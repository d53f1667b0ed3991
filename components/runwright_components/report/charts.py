"""Charts as geometry: what a template needs to draw them as SVG, in the units of the view box. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from runwright_components.report.wording import MINUS, number, percent

Tone = Literal["one", "two", "quiet", "good", "bad"]
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """A linear map from data to the view box. A domain of one value is widened."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return round(self.start + (value - self.low) / span * (self.end - self.start), 2)


@dataclass(frozen=True)
class Frame:
    """The view box and, within it, the plot; what is around the plot is for the axes."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    def x(self, low: float, high: float) -> Scale:
        return Scale(low, high, self.left, self.right)

    def y(self, low: float, high: float) -> Scale:
        return Scale(low, high, self.bottom, self.top)


# The text of a chart has a fixed size in its view box, so a chart that is shown small has a smaller one.
LARGE = Frame(440.0, 290.0, left=58.0, right=426.0, top=14.0, bottom=246.0)
SMALL = Frame(330.0, 232.0, left=48.0, right=318.0, top=18.0, bottom=190.0)
SPARK = Frame(240.0, 70.0, left=0.0, right=240.0, top=2.0, bottom=56.0)

LONGEST_NAME = 19  # of a bar to the right, in characters


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A polyline; `points` as SVG wants them. `end` is where its name may stand."""

    name: str
    tone: str
    points: str
    dashed: bool = False


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    radius: float
    tone: str
    note: str = ""


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    tone: str
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """A straight line for reference, with a short text above its upper end."""

    x1: float
    y1: float
    x2: float
    y2: float
    text: str = ""


@dataclass(frozen=True)
class Chart:
    """`description` says in words what the picture shows, for those who do not see it."""

    title: str
    description: str
    x_label: str = ""
    y_label: str = ""
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    bars: tuple[Bar, ...] = ()
    rules: tuple[Rule, ...] = ()
    frame: Frame = LARGE


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that lie in [low, high], about `count` of them (1, 2 or 5 times a power of ten apart)."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]


def padded(values: Sequence[float], *, share: float = 0.06) -> Point:
    """The range of the finite values with some air; (0, 1) when there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = (high - low) * share or abs(high) * share or 1.0
    return low - air, high + air


def polyline(points: Sequence[Point], x: Scale, y: Scale) -> str:
    return " ".join(f"{x(a):g},{y(b):g}" for a, b in points if math.isfinite(a) and math.isfinite(b))


def ticks(scale: Scale, count: int = 5, texts: Sequence[float] | None = None) -> tuple[Tick, ...]:
    values = nice_ticks(scale.low, scale.high, count) if texts is None else texts
    return tuple(Tick(scale(value), tick_text(value)) for value in values)


def tick_text(value: float) -> str:
    """As short as an axis needs: 1.5M, 250,000, 0.25."""
    size = abs(value)
    if size >= 1e6:
        unit, name = (1e9, "G") if size >= 1e9 else (1e6, "M")
        text = f"{value / unit:,.4g}{name}"
    elif size >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return text.replace("-", MINUS)


def curves(
    title: str,
    description: str,
    series: Sequence[tuple[str, Tone, Sequence[Point]]],
    *,
    x_label: str,
    y_label: str = "",
    mark: tuple[float, str] | None = None,
    frame: Frame = SMALL,
) -> Chart:
    """Lines over a common axis of whole numbers; `mark` is a place on x with its name."""
    xs = [a for _, _, points in series for a, _ in points]
    ys = [b for _, _, points in series for _, b in points]
    low, high = (min(xs), max(xs)) if xs else (0.0, 1.0)
    x = frame.x(low, high if high > low else low + 1)
    y = frame.y(*padded(ys))
    x_values = [value for value in nice_ticks(x.low, x.high) if value == int(value)]
    return Chart(
        title,
        description,
        x_label,
        y_label,
        ticks(x, texts=x_values),
        ticks(y),
        lines=tuple(Line(name, tone, polyline(points, x, y)) for name, tone, points in series),
        dots=tuple(
            Dot(x(a), y(b), 2.5, tone, f"{name}, {x_label} {a:g}: {number(b)}")
            for name, tone, points in series
            if len(points) <= 60
            for a, b in points
            if math.isfinite(b)
        ),
        rules=(Rule(x(mark[0]), frame.top, x(mark[0]), frame.bottom, mark[1]),) if mark else (),
        frame=frame,
    )


def unit_square(
    title: str,
    description: str,
    series: Sequence[tuple[str, Tone, Sequence[Point]]],
    *,
    x_label: str,
    y_label: str,
    dots: Sequence[tuple[float, float, float, str]] = (),
    bars: Sequence[tuple[float, float, float, str]] = (),
) -> Chart:
    """Lines in the square from 0 to 1 with its diagonal. `dots` are (x, y, radius, note), `bars` (from, to, height,
    note), all in the units of the square."""
    x, y = LARGE.x(0, 1), LARGE.y(0, 1)
    marks = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Chart(
        title,
        description,
        x_label,
        y_label,
        ticks(x, texts=marks),
        ticks(y, texts=marks),
        lines=tuple(Line(name, tone, polyline(points, x, y)) for name, tone, points in series),
        dots=tuple(Dot(x(a), y(b), radius, "one", note) for a, b, radius, note in dots),
        bars=tuple(
            Bar(x(a) + 1, y(top), round(x(b) - x(a) - 2, 2), round(y(0) - y(top), 2), "quiet", note)
            for a, b, top, note in bars
        ),
        rules=(Rule(x(0), y(0), x(1), y(1)),),
    )


def scatter(title: str, description: str, points: Sequence[Point], *, x_label: str, y_label: str) -> Chart:
    """Dots over equal axes with the diagonal on which they would lie if both were the same."""
    low, high = padded([value for point in points for value in point])
    x, y = LARGE.x(low, high), LARGE.y(low, high)
    return Chart(
        title,
        description,
        x_label,
        y_label,
        ticks(x),
        ticks(y),
        dots=tuple(Dot(x(a), y(b), 2.2, "one", f"{x_label} {number(a)}, {y_label} {number(b)}") for a, b in points),
        rules=(Rule(x(low), y(low), x(high), y(high)),),
    )


def histogram(
    title: str, description: str, edges: Sequence[float], counts: Sequence[float], *, x_label: str, y_label: str
) -> Chart:
    x = LARGE.x(edges[0], edges[-1])
    y = LARGE.y(0, max(counts, default=1) * 1.06 or 1.0)
    return Chart(
        title,
        description,
        x_label,
        y_label,
        ticks(x),
        ticks(y, 4),
        bars=_bars(edges, counts, x, y, "one"),
        rules=(Rule(x(0), LARGE.top, x(0), LARGE.bottom),) if edges[0] < 0 < edges[-1] else (),
    )


def shares(title: str, description: str, items: Sequence[tuple[str, float]], *, x_label: str) -> Chart:
    """A bar to the right for each name, in the given order; `items` are shares of one."""
    frame = replace(SMALL, left=128.0)
    x = frame.x(0, max((share for _, share in items), default=0) * 1.04 or 1.0)
    pitch = (frame.bottom - frame.top) / max(len(items), 1)
    thick = min(pitch * 0.72, 16.0)
    middles = [frame.top + (place + 0.5) * pitch for place in range(len(items))]
    return Chart(
        title,
        description,
        x_label,
        x_ticks=tuple(Tick(x(value), percent(value)) for value in nice_ticks(x.low, x.high, 4)),
        y_ticks=tuple(
            Tick(round(middle, 2), name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026")
            for middle, (name, _) in zip(middles, items, strict=True)
        ),
        bars=tuple(
            Bar(
                frame.left, round(middle - thick / 2, 2), round(max(x(share) - frame.left, 0.5), 2), round(thick, 2),
                "one", f"{name}: {percent(share)}",
            )
            for middle, (name, share) in zip(middles, items, strict=True)
        ),
        frame=frame,
    )  # fmt: skip


def spark(
    description: str,
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    domain: Point,
    ends: tuple[str, str],
    tone: Tone,
) -> Chart:
    """A small histogram without axes over `domain`, whose ends are written below."""
    x, y = SPARK.x(*domain), SPARK.y(0, max(counts, default=1) or 1.0)
    return Chart(
        "",
        description,
        x_ticks=(Tick(SPARK.left, ends[0]), Tick(SPARK.right, ends[1])),
        bars=_bars(edges, counts, x, y, tone),
        frame=SPARK,
    )


def _bars(edges: Sequence[float], counts: Sequence[float], x: Scale, y: Scale, tone: str) -> tuple[Bar, ...]:
    """Bars that touch but for a hair; what is not empty is at least one unit high, so that it can be seen."""
    found = []
    for low, high, height in zip(edges, edges[1:], counts, strict=False):
        if height <= 0:
            continue
        left, right, top = x(low), x(high), min(y(height), y(0) - 1)
        width = max(right - left - 0.6, 0.8)
        note = f"{number(low)} to {number(high)}: {height:,.0f}"
        found.append(Bar(round(left, 2), round(top, 2), round(width, 2), round(y(0) - top, 2), tone, note))
    return tuple(found)
