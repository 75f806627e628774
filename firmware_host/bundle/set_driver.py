"""`set_driver.h` and `.c`: portable C99 that hears clips by a set, with the memory for one clip in its state."""

from __future__ import annotations

from keras_mtl.errors import VerdictFailed
from keras_mtl.firmware_host.bundle.c_source import identifier
from keras_mtl.firmware_host.bundle.static_files import filled
from keras_mtl.firmware_host.c_types import C_TYPES
from keras_mtl.tflite.artifact_set import ArtifactSet


def require_driver(artifacts: ArtifactSet) -> None:
    """Refuses a set that the C driver does not run.

    Raises:
        VerdictFailed: without recurrent layers and classifiers, or with cells of different types.
    """
    wiring = artifacts.wiring
    if not wiring.recurrent or not wiring.classifiers:
        raise VerdictFailed("there is no driver for a set without recurrent layers and classifiers")
    if wiring.causal:
        raise VerdictFailed(
            "the event decoder of this set hears forwards only, and the driver of clips goes in both directions",
            hint="a bundle of its streaming set has a driver that steps forwards",
        )
    cells = [artifacts.members[name].manifest for layer in wiring.recurrent for name in layer.cells]
    types = {port["dtype"] for cell in cells for port in (*cell["inputs"], *cell["outputs"])}
    if len(types) > 1 or not types <= {"int8", "int16"}:
        raise VerdictFailed(
            f"the cells of the set have types {', '.join(sorted(types))}: the driver takes one, of integers"
        )


def driver_texts(name: str, artifacts: ArtifactSet, buffer_bytes: int) -> dict[str, str]:
    """The two files of the driver.

    Args:
        name: the set's identifier.
        artifacts: a set that `require_driver` lets pass.
        buffer_bytes: of `driver_buffers`.
    """
    wiring, prefix = artifacts.wiring, name.upper()
    ports = {member: artifact.manifest for member, artifact in artifacts.members.items()}
    cells = [member for layer in wiring.recurrent for member in layer.cells]
    encoder, classifiers = ports[wiring.encoder], ports[wiring.classifiers]
    scenes = wiring.scene_head
    last = len(wiring.recurrent)
    words = {
        "name": name,
        "NAME": prefix,
        "encoder": _number(name, wiring.encoder),
        "classifiers": _number(name, wiring.classifiers),
        "cells": len(cells),
        "layers": last,
        "cell_networks": ", ".join(_number(name, member) for member in cells),
        "cell_inputs": ", ".join(f"{ports[member]['inputs'][0]['shape'][-1]}u" for member in cells),
        "cell_units": ", ".join(f"{ports[member]['inputs'][1]['shape'][-1]}u" for member in cells),
        "cell_zeros": ", ".join(str(ports[member]["inputs"][1]["zero_point"]) for member in cells),
        "cell_type": C_TYPES[ports[cells[0]]["inputs"][1]["dtype"]],
        "classes_type": C_TYPES[classifiers["outputs"][0]["dtype"]],
        "input_type": C_TYPES[encoder["inputs"][0]["dtype"]],
        "scenes_type": C_TYPES[ports[scenes]["outputs"][0]["dtype"]] if scenes else "void",
        "scenes_or_null": "logits" if scenes else "NULL",
        "scenes_about": (
            f": room for the logits of this window, [{prefix}_SCENES_COUNT], by the scene decoder"
            if scenes
            else ": not used, for this set has no scene decoder"
        ),
        "run_scenes": _RUN_SCENES.format(_number(name, scenes)) if scenes else "  (void)scenes;\n  return true;",
        "buffers": "\n".join(f"  {kind} {field}[{size}];" for field, (kind, size) in _fields(artifacts).items()),
        "buffer_bytes": f"{buffer_bytes:,}",
        "layer_memory": "\n".join(
            f"  self->layers[{number}].states = self->states_{number + 1};" for number in range(last)
        ),
        "widen": str(wiring.shift is not None).lower(),
        "shift": f"{wiring.shift or 0}u",
        "embedding_zero": encoder["outputs"][0]["zero_point"] if wiring.shift is not None else 0,
        "bridge_memory": "self->bridge" if wiring.shift is not None else "NULL",
    }
    return {f"set_driver.{end}": filled(f"set_driver.{end}.in", **words) for end in ("h", "c")}


def driver_buffers(artifacts: ArtifactSet) -> dict[str, int]:
    """Bytes of each buffer in the driver's state."""
    sizes = {"int8_t": 1, "int16_t": 2}
    return {field: sizes[kind] * size for field, (kind, size) in _fields(artifacts).items()}


def _fields(artifacts: ArtifactSet) -> dict[str, tuple[str, int]]:
    """The buffers: type and elements."""
    wiring = artifacts.wiring
    embedding = artifacts.members[wiring.encoder].manifest["outputs"][0]
    kind, size = C_TYPES[embedding["dtype"]], embedding["shape"][-1]
    found = {
        "embeddings": (kind, wiring.steps * size),
        "heard": (kind, wiring.windows.embeddings * size),
    }
    largest = 0
    for number, layer in enumerate(wiring.recurrent, start=1):
        state = artifacts.members[layer.forward].manifest["inputs"][1]
        cell, units = C_TYPES[state["dtype"]], state["shape"][-1]
        directions = 1 if number == len(wiring.recurrent) else 2
        found[f"states_{number}"] = (cell, wiring.steps * directions * units)
        largest = max(largest, units)
        found["running_states"] = (cell, 2 * largest)
    if wiring.shift is not None:
        found["bridge"] = ("int16_t", size)
    return found


def _number(name: str, member: str) -> str:
    return f"{name}_{identifier(member)}".upper()


_RUN_SCENES = """  if (scenes != NULL) {{
    inputs[0] = self->heard;
    outputs[0] = scenes;
    return self->run(self->run_context, {}, inputs, outputs) == 0;
  }}
  return true;"""
