"""Runs a component's self-test and its predictor, compiled as a shared library, on the real TensorFlow Lite Micro.

A program: `run_component.py LIBRARY COMPONENT NAME`. The library has `component_run`, a pointer that its networks are
run by. Prints JSON: the self-test's lines, and what the predictor called back for the golden sound.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from pathlib import Path

import numpy as np
from run_selftest import PRINT, RUN, running

_SCENE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64)
_END = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64)


class _Callbacks(ctypes.Structure):
    _fields_ = [("scene", _SCENE), ("began", _SCENE), ("ended", _END), ("context", ctypes.c_void_p)]


def main(path: str, folder: str, name: str) -> None:
    """Runs both and prints what came of it."""
    component, library, lines, heard = Path(folder), ctypes.CDLL(path), [], []
    header = (component / "src" / name / "listener_networks.h").read_text()
    defined = re.findall(rf"^#define {name.upper()}_(\w+) \d+$", header, re.M)
    roles = [role.lower() for role in defined[: defined.index("NETWORKS")]]
    samples = np.fromfile(component / "extras" / "golden_audio.bin", "<i2")
    callbacks = _Callbacks(
        _SCENE(lambda _, label, ms: heard.append([0, label.decode(), ms, ms])),
        _SCENE(lambda _, label, ms: heard.append([1, label.decode(), ms, ms])),
        _END(lambda _, label, onset_ms, ms: heard.append([2, label.decode(), ms, onset_ms])),
        None,
    )
    pointer = RUN.in_dll(library, "component_run")
    with running([component / "extras" / "models" / f"{role}.tflite" for role in roles]) as (run, _):
        ctypes.memmove(ctypes.addressof(pointer), ctypes.addressof(run), ctypes.sizeof(run))
        getattr(library, f"{name}_selftest")(run, None, PRINT(lambda line: lines.append(line.decode())))
        started = getattr(library, f"{name}_predictor_start")(ctypes.byref(callbacks), None)
        push = getattr(library, f"{name}_predictor_push")
        push.restype = ctypes.c_bool
        given = np.ascontiguousarray(samples)
        pushed = [
            push(part.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(part)))
            for part in np.split(given, range(320, len(given), 320))
        ]
    print(json.dumps({"lines": lines, "heard": heard, "started": started, "pushed": all(pushed)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
