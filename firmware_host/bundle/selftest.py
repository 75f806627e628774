"""The self-test's sources: `selftest.h`, `selftest.c` and `selftest_main.c`, with the stages that a bundle has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mtl.firmware_host.bundle.c_source import real
from keras_mtl.firmware_host.bundle.chain import Chain
from keras_mtl.firmware_host.bundle.decoded import CALLS_EACH
from keras_mtl.firmware_host.bundle.golden import numbered
from keras_mtl.firmware_host.bundle.static_files import filled
from keras_mtl.firmware_host.c_types import C_TYPES
from keras_mtl.tflite.artifact_set import ArtifactSet

#: A float network's outputs may differ by this part of the largest one: sums are made in another order.
_FLOAT_PART = 2.0**-12
#: Steps by which scores behind recurrent cells may differ: 0.4 % of the range.
CELL_STEPS = {"int8": 1, "int16": 128}
_FRONT_END = {"features": "check_features(print)", "input": "check_input(print)"}


def model_selftest(
    name: str, manifest: Mapping[str, Any], outputs: Sequence[np.ndarray], chain: Chain | None
) -> dict[str, str]:
    """The self-test of one model: features, input, network, golden vectors and scenes.

    Args:
        name: its identifier.
        manifest: the artifact's.
        outputs: golden vectors: an array for each output.
        chain: the golden chain; None for a model without features of ours.
    """
    includes = ["golden_vectors.h", "model_networks.h", "model_settings.h"]
    parts, stages = front_end_stages(name, manifest["inputs"][0], chain, includes)
    ports = manifest["inputs"], manifest["outputs"]
    tolerances = [_tolerance(values) for values in outputs]
    if chain is not None:
        results = [f"{name}_golden_network_{numbered('output', i, len(ports[1]))}" for i in range(len(ports[1]))]
        parts += _network(
            name, "check_network", "network", [f"{name}_golden_network_input"], results, ports[1], tolerances
        )
        stages["network"] = "check_network(run, context, print)"
    given, expected = (
        [f"{name}_golden_{numbered(end, i, len(p))}[vector]" for i in range(len(p))]
        for end, p in zip(("input", "output"), ports, strict=True)
    )
    parts += _network(name, "check_vector", "vectors", given, expected, ports[1], tolerances, "size_t vector")
    parts += filled("selftest_vectors.c.in", NAME=name.upper())
    stages["vectors"] = "check_vectors(run, context, print)"
    if chain is not None and "scene" in chain.results:
        includes.append("kmtl/kmtl_scene_smoother.h")
        parts += _smoother(name, ports[1][0]["dtype"])
        parts += filled("selftest_scenes.c.in", name=name, NAME=name.upper(), calls=CALLS_EACH)
        stages["scenes"] = "check_scenes(print)"
    return selftest_texts(name, "model", includes, parts, stages)


def set_selftest(name: str, artifacts: ArtifactSet, chain: Chain) -> dict[str, str]:
    """The self-test of a set: features, input, encoder and scenes, cells, decoder.

    Args:
        name: its identifier.
        artifacts: the set.
        chain: its golden chain, decoded.
    """
    wiring = artifacts.wiring
    encoder = artifacts.members[wiring.encoder].manifest
    includes = ["kmtl/kmtl_event_decoder.h", "set_driver.h", "set_settings.h"]
    parts, stages = front_end_stages(name, encoder["inputs"][0], chain, includes)
    words = {"name": name, "NAME": name.upper(), "embedding_kind": encoder["outputs"][0]["dtype"]}
    words["cell_steps"] = str(CELL_STEPS[artifacts.members[wiring.classifiers].manifest["outputs"][0]["dtype"]])
    if wiring.scene_head:
        dtype = artifacts.members[wiring.scene_head].manifest["outputs"][0]["dtype"]
        includes.append("kmtl/kmtl_scene_smoother.h")
        parts += _smoother(name, dtype)
        words |= {
            "scenes_comment": " and logits of scenes",
            "scene_room": f"  static {C_TYPES[dtype]} logits[{name.upper()}_SCENES_COUNT];",
            "logits": "logits",
            "check_scenes": filled("selftest_set_scenes.c.in", name=name, NAME=name.upper(), kind=dtype).rstrip("\n"),
        }
    else:
        words |= {"scenes_comment": "", "scene_room": "", "logits": "NULL", "check_scenes": ""}
    parts += filled("selftest_set.c.in", **words) + filled("selftest_decoder.c.in", name=name, NAME=name.upper())
    stages["encoder"] = "check_encoder(run, context, print)"
    stages["cells"] = "check_cells(run, context, print)"
    stages["decoder"] = "check_decoder(print)"
    return selftest_texts(name, "set", includes, parts, stages)


def front_end_stages(
    name: str, port: Mapping[str, Any], chain: Chain | None, includes: list[str]
) -> tuple[str, dict[str, str]]:
    """The stages up to the network's input; none without a chain.

    Args:
        name: the bundle's identifier.
        port: the input of the first network.
        chain: the golden chain.
        includes: gets the headers that they need.

    Returns:
        Their functions, and the calls of these by the stages' names.
    """
    if chain is None:
        return "", {}
    includes += ["golden_audio.h", "kmtl/kmtl_log_mel.h", f"kmtl/{name}_log_mel_tables.h"]
    prefix, dtype = name.upper(), port["dtype"]
    scaling = f"{prefix}_INPUT_PER_DB, {prefix}_INPUT_AT_0_DB"
    if dtype in ("int8", "int16"):
        quantize = f"kmtl_log_mel_quantize_{dtype}(levels, {prefix}_LOG_MEL_BANDS, {scaling}, row);"
    else:
        per_db, at_0_db = scaling.split(", ")
        quantize = (
            f"for (band = 0u; band < (size_t){prefix}_LOG_MEL_BANDS; band++) {{\n"
            f"      row[band] = (levels[band] * {per_db}) + {at_0_db};\n    }}"
        )
    words = {"input_type": C_TYPES[dtype], "input_kind": _kind(dtype), "quantize": quantize}
    # Where a product and a sum are rounded as one, a level in the middle of two integers may become the other one.
    words["input_tolerance"] = "1.0e-4f" if _kind(dtype) == "float" else "1"
    return filled("selftest_front_end.c.in", name=name, NAME=prefix, **words), dict(_FRONT_END)


def _network(
    name: str,
    function: str,
    stage: str,
    given: Sequence[str],
    expected: Sequence[str],
    ports: Sequence[Mapping[str, Any]],
    tolerances: Sequence[str],
    more: str = "",
) -> str:
    """A function that runs the model once and holds each output against its golden one."""
    rooms = [f"  static {C_TYPES[p['dtype']]} output_{i}[{math.prod(p['shape'])}];" for i, p in enumerate(ports)]
    inputs = [f"  inputs[{i}] = {array};" for i, array in enumerate(given)]
    outputs = [f"  outputs[{i}] = output_{i};" for i in range(len(ports))]
    checks = " &&\n         ".join(
        f'kmtl_check_{_kind(port["dtype"])}(print, "{stage}", {array}, output_{i}, '
        f"{math.prod(port['shape'])}u, 0u, {most})"
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


def _smoother(name: str, dtype: str) -> str:
    words = {"scenes_type": C_TYPES[dtype], "scenes_kind": dtype}
    return filled("selftest_smoother.c.in", name=name, NAME=name.upper(), **words)


def _tolerance(values: np.ndarray) -> str:
    if values.dtype.kind != "f":
        return "KMTL_SELFTEST_STEPS"
    return real(float(np.abs(values).max(initial=0.0)) * _FLOAT_PART or _FLOAT_PART)


def _kind(dtype: str) -> str:
    return "float" if dtype == "float32" else dtype


def selftest_texts(
    name: str, role: str, includes: Sequence[str], parts: str, stages: Mapping[str, str]
) -> dict[str, str]:
    """The three sources of a self-test.

    Args:
        name: the bundle's identifier.
        role: what the header of its networks begins with, as "set".
        includes: headers.
        parts: the stages' functions.
        stages: calls of these by the stages' names, in their order.
    """
    calls = "\n".join(
        f'  if (!{call}) {{\n    return {place};\n  }}\n  kmtl_say(print, "{stage}", "passed");'
        for place, (stage, call) in enumerate(stages.items(), start=1)
    )
    words = {"name": name, "NAME": name.upper(), "role": role}
    listed = "\n".join(f'#include "{file}"' for file in sorted(includes))
    return {
        "selftest.h": filled("selftest.h.in", **words, stages=", ".join(stages)),
        "selftest.c": filled("selftest.c.in", name=name, includes=listed, parts=parts, stages=calls),
        "selftest_main.c": filled("selftest_main.c.in", **words),
    }
