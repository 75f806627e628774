"""The curves of all classes as one self-contained HTML page, on which a person picks an operating point.

What its script shows stands in the drawing's attributes, escaped.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

from keras_mtl.core import page
from keras_mtl.decoding import DecodeSettings
from keras_mtl.tuning.curves import Curve, CurvePoint, thinned
from keras_mtl.tuning.stage import Point, Tuning

_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 260, 52, 14
_SPAN_X, _SPAN_Y = _WIDTH - _LEFT - 16, _HEIGHT - _TOP - 40
_KEYS = ("threshold", "hysteresis", "median_s", "shortest_s", "gap_s")
_SCRIPT = """
for (const section of document.querySelectorAll("section")) {
  const setting = section.querySelector(".setting"), command = section.querySelector(".command");
  const points = section.querySelectorAll(".point");
  let picked = null;
  const show = point => {
    setting.textContent = point.dataset.setting;
    command.textContent = point.dataset.command;
  };
  for (const point of points) {
    point.addEventListener("mouseenter", () => show(point));
    point.addEventListener("focus", () => show(point));
    point.addEventListener("mouseleave", () => { if (picked) show(picked); });
    const pick = () => {
      if (picked) picked.classList.remove("picked");
      picked = point;
      point.classList.add("picked");
      show(point);
    };
    point.addEventListener("click", pick);
    point.addEventListener("keydown", event => { if (event.key === "Enter") pick(); });
  }
}
"""
_STYLE = """
svg { display: block; width: 100%; height: auto; background: var(--card); border-radius: .5rem; font-size: 12px; }
svg text { fill: var(--quiet); } .axis { stroke: var(--quiet); } .grid { stroke: var(--rule); }
.curve { fill: none; stroke: var(--blue); } .point { cursor: pointer; }
.point circle { fill: var(--blue); } .point line { stroke: var(--blue); opacity: .35; }
.point .target { fill: transparent; } .default circle.dot { fill: var(--quiet); }
.chosen circle.dot { fill: var(--good); } .picked circle.dot { fill: var(--bad); }
.point:hover circle.dot, .point:focus circle.dot { stroke: var(--ink); stroke-width: 2; }
"""


def set_options(point: Point, setting: DecodeSettings, decoding: DecodeSettings) -> list[str]:
    """The overrides that give a class a setting, as `--set` of `keras_mtl tune` and of `train` takes them.

    Args:
        point: the class's operating point.
        setting: of the class.
        decoding: the settings of all classes.
    """
    name = json.dumps(point.label, ensure_ascii=False)
    found = []
    for key in _KEYS:
        value, usual = getattr(setting, key), getattr(decoding, key)
        if key == "threshold" or not value == usual == getattr(point.before, key) == getattr(point.after, key):
            found.append(f"decode.classes.{name}.{key}={value:.10g}")
    return found


def page_html(tuning: Tuning, drawn: Sequence[Curve], model: str, about: Sequence[str] = ()) -> str:
    """The page.

    Args:
        tuning: what was chosen.
        drawn: the curve of each class, as of `curves`.
        model: the path of the run or artifact, for the command lines.
        about: lines on how it was made.
    """
    sections = "\n".join(
        _section(tuning, point, curve, model) for point, curve in zip(tuning.points, drawn, strict=True)
    )
    lines = "".join(f"<p>{escape(line)}</p>" for line in about)
    title = f"Operating points of {model}"
    body = f"<h1>{escape(title)}</h1>{lines}<p>{escape(_axes_line(tuning))}</p>\n{sections}"
    return page(title, body, style=_STYLE, script=_SCRIPT)


def _axes_line(tuning: Tuning) -> str:
    counted = (
        "every detection in the ambient audio"
        if tuning.ambient_hours
        else ("every detection in the held-out clips that overlaps no true event of its class: without --ambient")
    )
    return (
        f"Each dot is a threshold. To the right: false alarms per hour ({counted}) with their 95 % Poisson interval; "
        "upwards: part of the held-out events that no detection overlaps. Green was chosen, grey held before; a click "
        "picks another one and gives its command line."
    )


def _section(tuning: Tuning, point: Point, curve: Curve, model: str) -> str:
    head = f'<section><h2>{escape(point.label)}</h2><p class="quiet">{escape(_summary(point, curve))}</p>'
    if not curve.points:
        return f"{head}</section>"
    points = thinned(curve.points)
    most = max(each.per_hour for each in points)
    scale = _Scale(1.0 / curve.hours, max(most, 1.0 / curve.hours))
    parts = [*_frame(scale)]
    path = " ".join(f"{scale.x(each.per_hour):.1f},{_y(each.misses):.1f}" for each in points)
    parts.append(f'<polyline class="curve" points="{path}"/>')
    shown = sorted(points, key=lambda each: (each.chosen, each.default))  # those that matter on top
    parts += [_dot(each, scale, point, tuning, model) for each in shown]
    label = escape(f"false alarms per hour against misses of {point.label}")
    chosen = next(each for each in points if each.chosen)
    return (
        f'{head}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f'<pre class="setting">{escape(_setting_line(chosen))}</pre>'
        f'<pre class="command">{escape(_command(chosen, point, tuning, model))}</pre></section>'
    )


def _summary(point: Point, curve: Curve) -> str:
    return f"{point.events} held-out events, {curve.hours:.3g} hours; {point.why}"


class _Scale:
    """Rates on a logarithmic axis on which 0 has a place, too."""

    def __init__(self, unit: float, most: float) -> None:
        self.unit, self.most = unit, most

    def x(self, rate: float) -> float:
        share = math.log1p(rate / self.unit) / math.log1p(self.most / self.unit)
        return _LEFT + _SPAN_X * min(share, 1.0)

    def ticks(self) -> list[float]:
        first, last = math.floor(math.log10(self.unit)), math.ceil(math.log10(self.most))
        rates = [10.0**power for power in range(first, last + 1)]
        return [0.0, *(rate for rate in rates if self.unit / 2 <= rate <= self.most)]


def _y(misses: float) -> float:
    return _TOP + _SPAN_Y * (1.0 - misses)


def _frame(scale: _Scale) -> list[str]:
    bottom, right = _TOP + _SPAN_Y, _LEFT + _SPAN_X
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for rate in scale.ticks():
        x = scale.x(rate)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{rate:g}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    parts.append(f'<text x="{right}" y="{bottom + 31}" text-anchor="end">false alarms per hour</text>')
    parts.append(f'<text x="{_LEFT}" y="{bottom + 31}">misses upwards</text>')
    return parts


def _dot(each: CurvePoint, scale: _Scale, point: Point, tuning: Tuning, model: str) -> str:
    x, y, line = scale.x(each.per_hour), _y(each.misses), _setting_line(each)
    kind = "point" + " default" * each.default + " chosen" * each.chosen
    given = {"data-setting": line, "data-command": _command(each, point, tuning, model), "aria-label": line}
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    return (
        f'<g class="{kind}" tabindex="0"{attributes}>'
        f'<line x1="{scale.x(each.low):.1f}" y1="{y:.1f}" x2="{scale.x(each.high):.1f}" y2="{y:.1f}"/>'
        f'<circle class="target" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{5 if each.chosen or each.default else 3}"/></g>'
    )


def _setting_line(each: CurvePoint) -> str:
    values: dict[str, Any] = {key: getattr(each.setting, key) for key in _KEYS}
    settings = ", ".join(f"{key} {value:g}" for key, value in values.items())
    return (
        f"{settings}: misses {each.misses:.1%}, {each.per_hour:.3g} false alarms per hour "
        f"[{each.low:.3g}, {each.high:.3g}] ({each.alarms} in all)"
    )


def _command(each: CurvePoint, point: Point, tuning: Tuning, model: str) -> str:
    options = (f"--set {shlex.quote(option)}" for option in set_options(point, each.setting, tuning.decoding))
    return f"keras_mtl tune {shlex.quote(model)} {' '.join(options)} --write"
