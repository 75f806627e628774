"""Which part of a run can be converted to which format and schedule; what can't is refused with what to do instead."""

from __future__ import annotations

from keras_mtl.core import ConversionError
from keras_mtl.runs import Run
from keras_mtl.tflite.qat import FORMATS, SCHEMES
from keras_mtl.tflite.tfmot import WEIGHTS_FILE

PARTS = ("scenes", "events", "joint", "encoder")
SCHEDULES = ("clip", "stream")
#: The tasks whose decoders a part has.
TASKS = {"scenes": ("scenes",), "events": ("events",), "joint": ("scenes", "events"), "encoder": ()}
_FLOATS = tuple(kind for kind in FORMATS if kind not in SCHEMES)


def schedule_of(part: str, kind: str) -> str:
    """The schedule that a part in a format has by itself: "clip" or "stream"."""
    return "stream" if kind in SCHEMES and part in ("events", "joint") else "clip"


def require_known(part: str, kind: str, schedule: str) -> None:
    """Refuses what no run gives."""
    if part not in PARTS or kind not in FORMATS or schedule not in SCHEDULES:
        raise ConversionError(
            f"unknown part {part!r}, format {kind!r} or schedule {schedule!r}",
            hint=f"parts: {', '.join(PARTS)}; formats: {', '.join(FORMATS)}; schedules: {', '.join(SCHEDULES)}",
        )
    if schedule == "stream" and part == "encoder":
        raise ConversionError("the encoder alone is one file, a step of a stream", hint="leave out --schedule")
    if schedule == "stream" and kind not in SCHEMES:
        raise ConversionError(
            f"a streaming artifact can't be {kind}: its recurrent cells are integers",
            hint=f"--format {' or '.join(SCHEMES)}; in float --part encoder makes a step of the encoder",
        )
    if schedule == "clip" and part == "joint":
        raise ConversionError(
            "part 'joint' can't be one file: it takes a clip of scenes and one of events at a time",
            hint="--part scenes, --part events; in integers a streaming artifact, of a run quantized with --part joint",
        )
    if schedule == "clip" and part == "events" and kind in SCHEMES:
        raise ConversionError(
            f"part 'events' can't be one file in {kind}: the converter crashes on the loops of a GRU in integers",
            hint=f"--format {' or '.join(_FLOATS)}, or --schedule stream",
        )


def model_file(run: Run, part: str, kind: str, schedule: str) -> str:
    """Name of the file in the run folder that is converted.

    Raises:
        ConversionError: the run did not learn a task of the part, was not quantized so, or by another engine.
    """
    info, tasks = run.info, run.info.get("tasks", ["scenes", "events"])
    if kind in SCHEMES:
        _require_scheme(run, part, kind)
    lacking = [task for task in TASKS[part] if task not in tasks]
    if lacking and kind in SCHEMES:
        raise ConversionError(
            f"{run.path} is quantized for {' and '.join(tasks)}, and holds no quantized {lacking[0]} part",
            hint=f"keras_mtl quantize RUN --part {part}",
        )
    if lacking and info["stage"] == "qat":
        raise ConversionError(
            f"{run.path} is quantized, and holds no {lacking[0]} part", hint="convert the float run that it was made of"
        )
    if lacking:
        raise ConversionError(
            f"{run.path} was not trained on {lacking[0]}, so that part can't be converted",
            hint=f"it was trained on {' and '.join(tasks)}: --part {tasks[0]}",
        )
    if kind not in SCHEMES:
        return "network.keras"
    if info.get("engine") != "tfmot":
        return "qat.keras"
    if schedule == "stream" or part == "encoder":
        raise ConversionError(
            f"{run.path} was quantized by tfmot, whose model can't be taken apart into steps",
            hint=f"keras_mtl quantize RUN --scheme {kind} --engine native",
        )
    return WEIGHTS_FILE


def _require_scheme(run: Run, part: str, kind: str) -> None:
    """Refuses a run that is not quantized, or to the other of the two schemes."""
    scheme = run.info.get("scheme") if run.info["stage"] == "qat" else None
    if scheme != kind:
        state = f"quantized to {scheme}" if scheme else "not quantized"
        quantized = "scenes" if part == "encoder" else part
        raise ConversionError(
            f"{run.path} is {state}, so it gives no {kind} file",
            hint=f"keras_mtl quantize RUN --part {quantized} --scheme {kind}",
        )
