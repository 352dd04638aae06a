"""Charts as inline SVG: coloured by the page's style sheet, read out by their title and description."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import count

_WIDTH, _HEIGHT = 440, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 12, 44

Point = tuple[float, float]


@dataclass(slots=True)
class Chart:
    """One chart with two linear axes; parts are drawn in the order they are added.

    Args:
        name: unique on the page.
        title: what it shows, read out by screen readers.
        description: the finding in words, likewise.
        x, y: what the axes say.
        x_range, y_range: values at the ends.
    """

    name: str
    title: str
    description: str
    x: str
    y: str
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Iterable[Point], style: str, *, label: str = "", name: str = "") -> None:
        """A line; ``style`` is a class of the style sheet, ``label`` a tooltip."""
        path = " ".join(f"{self._px(x):.1f},{self._py(y):.1f}" for x, y in points)
        anchor = f' id="{escape(name)}"' if name else ""
        self._parts.append(f'<polyline{anchor} class="{style}" points="{path}">{_tip(label)}</polyline>')

    def dot(self, point: Point, style: str, *, radius: float = 4, label: str = "") -> None:
        """A filled circle, ``radius`` in pixels."""
        x, y = self._px(point[0]), self._py(point[1])
        self._parts.append(f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{_tip(label)}</circle>')

    def bar(self, low: float, high: float, value: float, style: str, *, label: str = "") -> None:
        """An upright bar from the axis to ``value``."""
        left, right = self._px(low) + 1, self._px(high) - 1
        top, bottom = self._py(value), self._py(self.y_range[0])
        self._parts.append(
            f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{max(bottom - top, 0):.1f}">{_tip(label)}</rect>'
        )

    def text(self, point: Point, words: str, *, anchor: str = "start") -> None:
        """Words beside a point of the chart."""
        x, y = self._px(point[0]), self._py(point[1])
        self._parts.append(f'<text class="note" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>')

    def svg(self) -> str:
        """The chart with axes, grid and all parts."""
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        grid = []
        for value in ticks(*self.x_range):
            x = self._px(value)
            grid.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
            grid.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{value:g}</text>')
        for value in ticks(*self.y_range):
            y = self._py(value)
            grid.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            grid.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
        axes = (
            f'<text class="axis" x="{middle_x}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(self.x)}</text>'
            f'<text class="axis" transform="translate(13 {middle_y}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y)}</text>"
        )
        return _svg(self.name, (self.title, self.description), (_WIDTH, _HEIGHT), "".join([*grid, *self._parts, axes]))

    def _px(self, x: float) -> float:
        low, high = self.x_range
        return _LEFT + (x - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def _py(self, y: float) -> float:
        low, high = self.y_range
        return _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def sparkline(name: str, title: str, points: Sequence[Point], mark: Point | None) -> str:
    """A small chart of the unit square: the area under a line, and one marked point."""
    side = 100
    path = " ".join(f"{x * side:.1f},{(1 - y) * side:.1f}" for x, y in points)
    inner = f'<rect class="frame" width="{side}" height="{side}"/>'
    if points:
        last = points[-1][0] * side
        inner += f'<polygon class="area" points="0,{side} {path} {last:.1f},{side}"/>'
        inner += f'<polyline class="curve" points="{path}"/>'
    if mark is not None:
        inner += f'<circle class="mark" cx="{mark[0] * side:.1f}" cy="{(1 - mark[1]) * side:.1f}" r="4"/>'
    return _svg(name, (title, ""), (side, side), inner, margin=4)


def ticks(low: float, high: float) -> Iterator[float]:
    """About five round values from ``low`` to ``high``."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    for index in count(first):
        if index * step > high + 1e-9 * step:
            return
        yield round(index * step, 10)


def _tip(label: str) -> str:
    return f"<title>{escape(label)}</title>" if label else ""


def _svg(name: str, words: tuple[str, str], size: tuple[int, int], inner: str, *, margin: int = 0) -> str:
    (title, description), (width, height) = words, size
    box = f"{-margin} {-margin} {width + 2 * margin} {height + 2 * margin}"
    identity, named, told = escape(name), f'<title id="{escape(name)}-t">{escape(title)}</title>', ""
    labelled = f"{identity}-t"
    if description:
        told = f'<desc id="{identity}-d">{escape(description)}</desc>'
        labelled += f" {identity}-d"
    return f'<svg viewBox="{box}" role="img" aria-labelledby="{labelled}">{named}{told}{inner}</svg>'
