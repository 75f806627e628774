"""What `keras_mtl listen` shows: a line that is written over for what lasts, and lines that stay."""

from __future__ import annotations

import json
from typing import IO

from keras_mtl.firmware_host.device import BEGIN, SCENE, Detection
from keras_mtl.firmware_host.engines import Update

SCHEMA = "keras_mtl.heard/1"
#: Writes over the line that the cursor stands in.
_OVER = "\r\x1b[2K"
_COLUMNS = 110


class JsonView:
    """A line of JSON for each thing that became known, and one for the end."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def show(self, update: Update, seconds: float, load: float) -> None:
        """Shows what is known after so many seconds of audio; the load comes with the end."""
        for each in update.detections:
            self._write(each.to_dict())

    def end(self, seconds: float, load: float) -> None:
        """The sound has ended; load is computing over audio time."""
        self._write({"kind": "end", "duration_s": round(seconds, 6), "load": round(load, 4)})

    def _write(self, document: dict[str, object]) -> None:
        self._out.write(json.dumps({"schema": SCHEMA, **document}, ensure_ascii=False) + "\n")
        self._out.flush()


class TextView:
    """Lines for people: scenes and events that ended stay, what lasts is written over on a terminal.

    Args:
        out: where to.
        live: whether that is a terminal.
    """

    def __init__(self, out: IO[str], live: bool) -> None:
        self._out, self._live = out, live

    def show(self, update: Update, seconds: float, load: float) -> None:
        """Shows what is known after so many seconds of audio, at a load of computing over audio time."""
        lines = [_line(each) for each in update.detections if each.kind != BEGIN or not self._live]
        over = _OVER if self._live else ""
        for line in lines:
            self._out.write(f"{over}{line}\n")
        if self._live:
            active = ", ".join(update.active) or "-"
            now = f"{clock(seconds)}  {update.scene or '...'}  |  {active}  |  load {load:.0%}"
            self._out.write(_OVER + now[:_COLUMNS])
        if lines or self._live:
            self._out.flush()

    def end(self, seconds: float, load: float) -> None:
        """The sound has ended."""
        over = _OVER if self._live else ""
        self._out.write(f"{over}{clock(seconds)}  end, load {load:.1%}\n")
        self._out.flush()


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: "0:01:02.34"."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"


def _line(each: Detection) -> str:
    if each.kind == SCENE:
        return f"{clock(each.onset_s)}  scene  {each.label}  ({each.score:.2f})"
    if each.offset_s is None:
        return f"{clock(each.onset_s)}  begins {each.label}"
    lasted = f"{each.offset_s - each.onset_s:.2f} s"
    return f"{clock(each.onset_s)}  event  {each.label}  {lasted}  ({each.score:.2f})"
