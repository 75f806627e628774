"""The self-test's sources: `selftest.h`, `selftest.c` and `selftest_main.c`, with the stages that a bundle has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mtl.firmware_host.bundle.golden import (
    C_VECTORS,
    CALLS_EACH,
    MADE_UP_STEPS,
    Chain,
    GoldenVectors,
    event_numbers,
    input_scaling,
    numbered,
)
from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.bundle.text.settings import decoder_words
from keras_mtl.firmware_host.c99 import identifier, real
from keras_mtl.firmware_host.device import C_TYPES, embedding_place
from keras_mtl.tflite.artifact import Artifact, Member, Port

#: A float network's outputs may differ by this part of the largest one: sums are made in another order.
_FLOAT_PART = 2.0**-12
#: `FEATURES_TOLERANCE_DB` of selftest_front_end.c.in.
_TOLERANCE_DB = 0.05
#: Steps by which scores behind recurrent cells may differ: 0.4 % of the range.
_CELL_STEPS = {"int8": 1, "int16": 128}


@dataclass(frozen=True)
class Stage:
    """One stage of a self-test.

    Attributes:
        name: what is printed of it.
        call: its call in C, which gives whether it passed.
        functions: their C; none where an earlier stage has them.
        includes: headers that they need.
        macros: these go before the functions of all stages.
    """

    name: str
    call: str
    functions: str = ""
    includes: tuple[str, ...] = ()
    macros: str = ""


def constants_stage(name: str, role: str, sums: Sequence[int]) -> Stage:
    """The stage that finds a flipped bit in what networks in C99 compute with.

    `role`: as of `selftest_texts`. `sums`: over the constants of each network, in their order.
    """
    listed = ", ".join(f"{each}u" for each in sums)
    text = filled("selftest_constants.c.in", name=name, NAME=name.upper(), sums=listed)
    return Stage("constants", "check_constants(print)", text, (f"{role}_networks.h",))


def front_end_stages(name: str, port: Port) -> list[Stage]:
    """The stages up to the first network's input."""
    prefix, dtype = name.upper(), port.dtype
    scaling = f"{prefix}_INPUT_PER_DB, {prefix}_INPUT_AT_0_DB"
    if dtype in ("int8", "int16"):
        quantize = f"kmtl_log_mel_quantize_{dtype}(log_mel, {prefix}_LOG_MEL_BANDS, {scaling}, row);"
    else:
        per_db, at_0_db = scaling.split(", ")
        quantize = (
            f"for (band = 0u; band < (size_t){prefix}_LOG_MEL_BANDS; band++) {{\n"
            f"      row[band] = (log_mel[band] * {per_db}) + {at_0_db};\n    }}"
        )
    words = {"input_type": C_TYPES[dtype], "input_kind": _kind(dtype), "quantize": quantize}
    # Where a product and a sum are rounded as one, a value in the middle of two integers may become the other one.
    words["input_tolerance"] = "1.0e-4f" if _kind(dtype) == "float" else "1"
    functions = filled("selftest_front_end.c.in", name=name, NAME=prefix, **words)
    includes = ("golden_audio.h", "kmtl/kmtl_log_mel.h", f"kmtl/{name}_log_mel_tables.h")
    return [Stage("features", "check_features(print)", functions, includes), Stage("input", "check_input(print)")]


def network_stages(name: str, member: Member, vectors: GoldenVectors, chain: Chain | None) -> list[Stage]:
    """The stages of one network: on the golden sound, on the golden vectors, and its scenes.

    `chain`: the golden chain; None for a model without features of ours.
    """
    ports, stages = (member.inputs, member.outputs), []
    tolerances = [_tolerance(values[:C_VECTORS]) for values in vectors.outputs]
    if chain is not None:
        results = [f"{name}_golden_network_{numbered('output', i, len(ports[1]))}" for i in range(len(ports[1]))]
        given = [f"{name}_golden_network_input"]
        text = _network(name, "check_network", "network", given, results, ports[1], tolerances)
        stages.append(Stage("network", "check_network(run, context, print)", text))
    given, expected = (
        [f"{name}_golden_{numbered(end, i, len(p))}[vector]" for i in range(len(p))]
        for end, p in zip(("input", "output"), ports, strict=True)
    )
    text = _network(name, "check_vector", "vectors", given, expected, ports[1], tolerances, "size_t vector")
    text += filled("selftest_vectors.c.in", NAME=name.upper())
    includes: tuple[str, ...] = ("golden_vectors.h", "model_networks.h", "model_settings.h")
    stages.append(Stage("vectors", "check_vectors(run, context, print)", text, includes))
    if chain is not None and "scene" in chain.results:
        dtype = ports[1][0].dtype
        words = {"name": name, "NAME": name.upper()}
        text = filled("selftest_smoother.c.in", **words, scenes_type=C_TYPES[dtype], scenes_kind=dtype)
        text += filled("selftest_scenes.c.in", **words, calls=CALLS_EACH)
        stages.append(Stage("scenes", "check_scenes(print)", text, ("kmtl/kmtl_scene_smoother.h",)))
    return stages


def _network(
    name: str,
    function: str,
    stage: str,
    given: Sequence[str],
    expected: Sequence[str],
    ports: Sequence[Port],
    tolerances: Sequence[str],
    more: str = "",
) -> str:
    """A function that runs the model once and holds each output against its golden one."""
    rooms = [f"  static {C_TYPES[p.dtype]} output_{i}[{p.elements}];" for i, p in enumerate(ports)]
    inputs = [f"  inputs[{i}] = {array};" for i, array in enumerate(given)]
    outputs = [f"  outputs[{i}] = output_{i};" for i in range(len(ports))]
    checks = " &&\n         ".join(
        f'kmtl_check_{_kind(port.dtype)}(print, "{stage}", {array}, output_{i}, {port.elements}u, 0u, {most})'
        for i, (array, port, most) in enumerate(zip(expected, ports, tolerances, strict=True))
    )
    return filled(
        "selftest_network.c.in",
        function=function,
        stage=stage,
        arguments=f"kmtl_run_t run, void *context, kmtl_print_t print{', ' if more else ''}{more}",
        rooms="\n".join(rooms),
        inputs=len(inputs),
        outputs=len(outputs),
        set_inputs="\n".join(inputs),
        set_outputs="\n".join(outputs),
        network=f"{name.upper()}_MODEL",
        checks=checks,
    )


def _tolerance(values: np.ndarray) -> str:
    if values.dtype.kind != "f":
        return "KMTL_SELFTEST_STEPS"
    return real(float(np.abs(values).max(initial=0.0)) * _FLOAT_PART or _FLOAT_PART)


def _kind(dtype: str) -> str:
    return "float" if dtype == "float32" else dtype


def selftest_texts(name: str, role: str, stages: Sequence[Stage]) -> dict[str, str]:
    """The three sources of a self-test.

    `role`: what the header of its networks begins with, as "listener".
    """
    calls = "\n".join(
        f'  if (!{stage.call}) {{\n    return {place};\n  }}\n  kmtl_say(print, "{stage.name}", "passed");'
        for place, stage in enumerate(stages, start=1)
    )
    words = {"name": name, "NAME": name.upper(), "role": role}
    listed = "\n".join(f'#include "{file}"' for file in sorted(file for stage in stages for file in stage.includes))
    parts = "".join([*(stage.macros for stage in stages), *(stage.functions for stage in stages)])
    return {
        "selftest.h": filled("selftest.h.in", **words, stages=", ".join(stage.name for stage in stages)),
        "selftest.c": filled("selftest.c.in", name=name, includes=listed, parts=parts, stages=calls),
        "selftest_main.c": filled("selftest_main.c.in", **words),
    }


def listener_stages(name: str, artifact: Artifact, exact: bool = False) -> list[Stage]:
    """The stages behind the front end.

    `exact`: scores behind recurrent cells may not differ either.

    The listener gets the golden samples. Each network's result is held against the golden one, which then takes its
    place, so that scenes and events must be the golden ones.
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
        task = _task(artifact, name, "events", wiring.classifiers, exact)
        words |= task | {"cases": words["cases"] + task["cases"]}
        words["say_cells"] = '\n  kmtl_say_steps(print, "cells", golden.largest);'
        words["event_calls"] = _event_calls(prefix)
    includes = ("listener.h", "listener_networks.h", "kmtl/kmtl_event_decoder.h")
    text, decoder = filled("selftest_stream.c.in", **words), []
    if wiring.classifiers:
        functions = filled("selftest_decoder.c.in", name=name, NAME=prefix, **decoder_words(event_numbers(artifact)))
        decoder = [Stage("decoder", "check_decoder(print)", functions)]
    return [Stage("listener", "check_listener(run, context, print)", text, includes, macros), *decoder]


def _task(artifact: Artifact, name: str, task: str, member: str, exact: bool = False) -> dict[str, str]:
    """The function that runs a decoder's network, and the case that calls it."""
    dtype = artifact.members[member].outputs[0].dtype
    words = {"name": name, "NAME": name.upper(), "type": C_TYPES[dtype], "kind": dtype}
    number = f"{name}_{identifier(member)}".upper()
    if task == "events":
        words |= {
            "cell_steps": "0" if exact else str(_CELL_STEPS[dtype]),
            "event_calls": f"(size_t){_event_calls(words['NAME'])}",
        }
    return {
        task: filled(f"selftest_stream_{task}.c.in", number=number, **words),
        "cases": f"    case {number}:\n      return run_{task}(golden, inputs, outputs);\n",
    }


def _event_calls(prefix: str) -> str:
    """How often the classifiers run: behind their scores stand made-up ones."""
    return f"({prefix}_GOLDEN_SCORES_ROWS - {MADE_UP_STEPS})"


def _macros(prefix: str, **values: Any) -> str:
    return "".join(f"#define {prefix}_{key.upper()} ({value})\n" for key, value in values.items()) + "\n"
