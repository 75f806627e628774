"""Stages of a streaming artifact's self-test: the listener with all its networks, and the event decoder."""

from __future__ import annotations

import math
from typing import Any

from keras_mtl.firmware_host.bundle.golden import MADE_UP_STEPS, event_numbers, input_scaling
from keras_mtl.firmware_host.bundle.source import filled, identifier, real
from keras_mtl.firmware_host.bundle.text.selftest import Stage
from keras_mtl.firmware_host.device import C_TYPES, embedding_place
from keras_mtl.tflite.artifact import Artifact

#: `FEATURES_TOLERANCE_DB` of selftest_front_end.c.in.
_TOLERANCE_DB = 0.05
#: Steps by which scores behind recurrent cells may differ: 0.4 % of the range.
_CELL_STEPS = {"int8": 1, "int16": 128}


def listener_stages(name: str, artifact: Artifact) -> list[Stage]:
    """The stages behind the front end.

    The listener gets the golden samples. Each network's result is held against the golden one, which then takes its
    place, so that scenes and events must be the golden ones.

    Args:
        name: the artifact's identifier.
        artifact: a streaming artifact.
    """
    wiring, prefix, encoder = artifact.wiring, name.upper(), artifact.network
    source, place = encoder.inputs[0], embedding_place(artifact)
    per_db, at_0_db = input_scaling(artifact.facts.features, source)
    macros = _macros(prefix, input_per_db=real(per_db), input_at_0_db=real(at_0_db))
    words: dict[str, Any] = {"name": name, "NAME": prefix, "scenes": "", "events": "", "cases": ""}
    words |= {
        "kind": source.dtype,
        "type": C_TYPES[source.dtype],
        "step_elements": source.elements,
        "input_tolerance": math.ceil(_TOLERANCE_DB * float(per_db)) + 1,
        "states": len(wiring.stream.states),
        "place": place,
        "size": encoder.outputs[place].elements,
        "encoder": f"{prefix}_{identifier(wiring.encoder)}".upper(),
        "say_cells": "",
        "scene_calls": 0,
        "event_calls": 0,
    }
    if wiring.scene_head:
        words |= _task(artifact, name, "scenes", wiring.scene_head)
        words["scene_calls"] = f"{prefix}_GOLDEN_LOGITS_ROWS"
    if wiring.classifiers:
        task = _task(artifact, name, "events", wiring.classifiers)
        words |= task | {"cases": words["cases"] + task["cases"]}
        words["say_cells"] = '\n  kmtl_say_steps(print, "cells", golden.largest);'
        words["event_calls"] = _event_calls(prefix)
    includes = ("listener.h", "listener_networks.h", "kmtl/kmtl_event_decoder.h")
    text, decoder = filled("selftest_stream.c.in", **words), []
    if wiring.classifiers:
        macros = _macros(prefix, **{f"event_{key}": value for key, value in event_numbers(artifact).items()}) + macros
        functions = filled("selftest_decoder.c.in", name=name, NAME=prefix)
        decoder = [Stage("decoder", "check_decoder(print)", functions)]
    return [Stage("listener", "check_listener(run, context, print)", text, includes, macros), *decoder]


def _task(artifact: Artifact, name: str, task: str, member: str) -> dict[str, str]:
    """The function that runs a decoder's network, and the case that calls it."""
    dtype = artifact.members[member].outputs[0].dtype
    words = {"name": name, "NAME": name.upper(), "type": C_TYPES[dtype], "kind": dtype}
    number = f"{name}_{identifier(member)}".upper()
    if task == "events":
        words |= {"cell_steps": str(_CELL_STEPS[dtype]), "event_calls": f"(size_t){_event_calls(words['NAME'])}"}
    return {
        task: filled(f"selftest_stream_{task}.c.in", number=number, **words),
        "cases": f"    case {number}:\n      return run_{task}(golden, inputs, outputs);\n",
    }


def _event_calls(prefix: str) -> str:
    """How often the classifiers run: behind their scores stand made-up ones."""
    return f"({prefix}_GOLDEN_SCORES_ROWS - {MADE_UP_STEPS})"


def _macros(prefix: str, **values: Any) -> str:
    return "".join(f"#define {prefix}_{key.upper()} ({value})\n" for key, value in values.items()) + "\n"
