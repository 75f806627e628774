"""The self-test of a streaming set: the front end, the listener with all its networks, and the event decoder."""

from __future__ import annotations

import math
from typing import Any

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.bundle.c_source import identifier, real
from keras_mtl.firmware_host.bundle.chain import Chain
from keras_mtl.firmware_host.bundle.decoded import MADE_UP_STEPS
from keras_mtl.firmware_host.bundle.golden_audio import input_scaling
from keras_mtl.firmware_host.bundle.selftest import CELL_STEPS, front_end_stages, selftest_texts
from keras_mtl.firmware_host.bundle.set_settings import event_settings
from keras_mtl.firmware_host.bundle.static_files import filled
from keras_mtl.firmware_host.bundle.stream_chain import embedding_place
from keras_mtl.firmware_host.c_types import C_TYPES
from keras_mtl.tflite.artifact_set import ArtifactSet

#: `FEATURES_TOLERANCE_DB` of selftest_front_end.c.in.
_TOLERANCE_DB = 0.05


def stream_selftest(name: str, artifacts: ArtifactSet, chain: Chain) -> dict[str, str]:
    """The sources `selftest.h`, `selftest.c` and `selftest_main.c`.

    The listener hears the golden samples. Each network's result is held against the golden one, which then takes its
    place, so that scenes and events must be the golden ones.

    Args:
        name: the set's identifier.
        artifacts: the set.
        chain: its golden chain.
    """
    wiring, prefix = artifacts.stream_wiring, name.upper()
    encoder = artifacts.members[wiring.encoder].manifest
    source, place = encoder["inputs"][0], embedding_place(artifacts)
    per_db, at_0_db = input_scaling(LogMelSettings.from_dict(artifacts.manifest["features"]), source)
    includes = ["kmtl/kmtl_event_decoder.h", "listener.h", "listener_networks.h"]
    parts = _macros(prefix, input_per_db=real(per_db), input_at_0_db=real(at_0_db))
    front_end, stages = front_end_stages(name, source, chain, includes)
    words: dict[str, Any] = {"name": name, "NAME": prefix, "scenes": "", "events": "", "cases": ""}
    words |= {
        "kind": source["dtype"],
        "type": C_TYPES[source["dtype"]],
        "step_elements": math.prod(source["shape"]),
        "input_tolerance": math.ceil(_TOLERANCE_DB * float(per_db)) + 1,
        "states": len(wiring.stream.states),
        "place": place,
        "size": math.prod(encoder["outputs"][place]["shape"]),
        "encoder": f"{prefix}_{identifier(wiring.encoder)}".upper(),
        "say_cells": "",
        "scene_calls": 0,
        "event_calls": 0,
    }
    if wiring.scene_head:
        words |= _task(artifacts, name, "scenes", wiring.scene_head, "logits")
        words["scene_calls"] = f"{prefix}_GOLDEN_LOGITS_ROWS"
    if wiring.classifiers:
        task = _task(artifacts, name, "events", wiring.classifiers, "scores")
        words |= task | {"cases": words["cases"] + task["cases"]}
        words["say_cells"] = '\n  kmtl_say_steps(print, "cells", golden.largest);'
        words["event_calls"] = _event_calls(prefix)
    parts += front_end + filled("selftest_stream.c.in", **words)
    stages["listener"] = "check_listener(run, context, print)"
    if wiring.classifiers:
        decoding = event_settings(artifacts)
        macros = {f"event_{key}": value for key, value in decoding.items()}
        parts = _macros(prefix, **macros) + parts + filled("selftest_decoder.c.in", name=name, NAME=prefix)
        stages["decoder"] = "check_decoder(print)"
    return selftest_texts(name, "listener", includes, parts, stages)


def _task(artifacts: ArtifactSet, name: str, task: str, member: str, golden: str) -> dict[str, str]:
    """The function that runs a decoder's network, and the case that calls it."""
    dtype = artifacts.members[member].manifest["outputs"][0]["dtype"]
    words = {"name": name, "NAME": name.upper(), "type": C_TYPES[dtype], "kind": dtype}
    number = f"{name}_{identifier(member)}".upper()
    if task == "events":
        words |= {"cell_steps": str(CELL_STEPS[dtype]), "event_calls": f"(size_t){_event_calls(words['NAME'])}"}
    return {
        task: filled(f"selftest_stream_{task}.c.in", number=number, **words),
        "cases": f"    case {number}:\n      return run_{task}(golden, inputs, outputs);\n",
    }


def _event_calls(prefix: str) -> str:
    """How often the classifiers run: behind their scores stand made-up ones."""
    return f"({prefix}_GOLDEN_SCORES_ROWS - {MADE_UP_STEPS})"


def _macros(prefix: str, **values: Any) -> str:
    return "".join(f"#define {prefix}_{key.upper()} ({value})\n" for key, value in values.items()) + "\n"
