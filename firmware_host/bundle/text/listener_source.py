"""`listener.h` and `.c`: the settings of a streaming artifact for the C listener, and a struct with all its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_mtl.core import LogMelSettings, VerdictFailed
from keras_mtl.firmware_host.bundle.golden import event_numbers, input_scaling
from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.bundle.text.settings import decoder_words, label_lines
from keras_mtl.firmware_host.c99 import identifier, real
from keras_mtl.firmware_host.device import (
    Buffer,
    cell_steps,
    embedding_place,
    kept_embeddings,
    listener_memory,
    pass_cells,
)
from keras_mtl.tflite.artifact import Artifact, Port, Recurrent

#: `KMTL_LISTENER_MOST_STATES` of kmtl_listener.h.
_MOST_STATES = 15
_TYPES = {"int8", "int16"}
#: What its numbers of 16 bits hold.
_MOST_RING = _MOST_STEPS = 0xFFFF
#: The example's file.
EXAMPLE = "listener_main.c"


def require_listener(artifact: Artifact) -> None:
    """Refuses a streaming artifact that the C listener does not run.

    Raises:
        ArtifactError: an artifact that takes clips.
        VerdictFailed: more states, a longer ring or longer filters of the events than the listener has room for, or
            types that it does not take.
    """
    wiring, members = artifact.wiring, artifact.members
    if len(wiring.stream.states) > _MOST_STATES:
        raise VerdictFailed(
            f"the encoder has {len(wiring.stream.states)} states, the C listener {_MOST_STATES} at most"
        )
    if (ring := kept_embeddings(wiring)) > _MOST_RING:
        raise VerdictFailed(f"the ring has {ring:,} embeddings, the C listener {_MOST_RING:,} at most")
    if wiring.classifiers:
        numbers = event_numbers(artifact)
        most = max(max(numbers[key]) for key in ("median", "shortest", "gap"))
        if most > _MOST_STEPS:
            raise VerdictFailed(f"events are decoded over {most:,} steps, the C listener takes {_MOST_STEPS:,} at most")
    cells = [members[name] for layer in wiring.recurrent for name in layer.cells]
    ports = {
        "encoder": (*artifact.network.inputs, *artifact.network.outputs),
        "states of the cells": [port for cell in cells for port in (*cell.inputs[1:], *cell.outputs)],
    }
    for what, listed in ports.items():
        found = {port.dtype for port in listed}
        if len(found) > 1 or not found <= _TYPES:
            raise VerdictFailed(f"the {what} has types {', '.join(sorted(found))}: the listener takes one, of integers")


def listener_texts(name: str, artifact: Artifact, shared: bool = False) -> dict[str, str]:
    """The two files, which need `kmtl/NAME_log_mel_tables.h` and `listener_networks.h` beside them, and an example.

    `shared`: the front end has its scratch in the memory of the networks, which have a function for it.

    Raises:
        ArtifactError: an artifact that takes clips.
        VerdictFailed: the listener does not run such an artifact.
    """
    require_listener(artifact)
    wiring, settings, labels = artifact.wiring, artifact.facts.features, artifact.facts.labels
    buffers, source = listener_memory(artifact), _Source(name, artifact)
    scratch_bytes, assigned = buffers["scratch"].size_bytes, []
    if shared:
        buffers.pop("scratch")
        assigned = [f"  memory.scratch = (kmtl_log_mel_scratch_t *){name}_memory();"]
    kept = [*(_assigned(field, buffer) for field, buffer in buffers.items()), *assigned]
    words = {
        "name": name,
        "NAME": name.upper(),
        "buffer_bytes": _buffer_bytes(name, buffers, artifact),
        "scratch_bytes": scratch_bytes,
        "step_ms": round(artifact.step_s * 1000),
        "sample_rate_hz": settings.sample_rate_hz,
        "labels": "\n".join(label_lines(name.upper(), labels)),
        "fields": "\n".join(
            f"  {buffer.kind} {field}[{_elements(field, buffer, name, artifact)}];" for field, buffer in buffers.items()
        ),
        "memory": "\n".join(kept),
        "state_count": max(1, len(wiring.stream.states)),
        "states": source.states(),
        "encoder": source.encoder(settings),
        "scenes": source.scenes() if wiring.scene_head else "",
        "events": source.events() if wiring.classifiers else "",
        "scenes_or_null": "&scenes" if wiring.scene_head else "NULL",
        "events_or_null": "&events" if wiring.classifiers else "NULL",
        "ring": _ring(name, artifact),
        "spread": _spread(name, artifact) if wiring.event_ring else "",
    }
    example = {"sample_rate_hz": settings.sample_rate_hz, "labels": _label_function(name, list(labels.to_dict()))}
    return {
        **{f"listener.{end}": filled(f"listener.{end}.in", **words) for end in ("h", "c")},
        EXAMPLE: filled("listener_main.c.in", name=name, NAME=name.upper(), **example),
    }


def _label_function(name: str, tasks: list[str]) -> str:
    """C of the example that finds a label."""
    lists = [f"  static const char *const {task}[] = {name.upper()}_{task.upper()}_LABELS;" for task in tasks]
    if len(tasks) > 1:
        found = "(heard->kind == KMTL_HEARD_SCENE) ? scenes[heard->label] : events[heard->label]"
    else:
        found = f"{tasks[0]}[heard->label]"
    opened, closed = "static const char *label_of(const kmtl_heard_t *heard) {", "}"
    return "\n".join([opened, *lists, f"  return {found};", closed, ""])


def _assigned(field: str, buffer: Buffer) -> str:
    return f"  memory.{'events.' if buffer.of_events else ''}{field} = self->{field};"


@dataclass(frozen=True)
class _Source:
    """Initializers of the settings."""

    name: str
    artifact: Artifact

    def states(self) -> str:
        given = [port.name for port in self.artifact.network.outputs]
        ports = self.artifact.network.inputs[1:]
        lines = [
            f"    {{{port.elements}u, {port.zero}, {given.index(state.given)}u}},"
            for state, port in zip(self.artifact.wiring.stream.states, ports, strict=True)
        ]
        return "\n".join(lines or ["    {0u, 0, 0u},"])

    def encoder(self, settings: LogMelSettings) -> str:
        stream, source = self.artifact.wiring.stream, self.artifact.network.inputs[0]
        per_db, at_0_db = input_scaling(settings, source)
        return _lines(
            self._number(self.artifact.wiring.encoder),
            f"{source.element_bytes}u, {len(stream.states)}u, {embedding_place(self.artifact)}u",
            f"{stream.stride}u, {stream.latency}u, {self._embedding.size}u",
            "states",
            f"&{self.name}_log_mel_tables",
            f"{real(per_db)}, {real(at_0_db)}",
        )

    def scenes(self) -> str:
        wiring, decoding = self.artifact.wiring, self.artifact.facts.decoding
        (port,) = self.artifact.members[wiring.scene_head].outputs
        smoothing = f"{decoding.scene_hold_calls}u, {real(decoding.scene_weight)}"
        body = _lines(
            self._number(wiring.scene_head),
            f"{port.element_bytes}u, {wiring.scene_ring}u, {wiring.stream.scene_hop}u",
            f"{{{port.size}u, {smoothing}, {real(port.scale)}}}",
        )
        return f"\nstatic const kmtl_listener_scenes_t scenes = {{\n{body}\n}};\n"

    def events(self) -> str:
        wiring, numbers = self.artifact.wiring, event_numbers(self.artifact)
        scores = self.artifact.members[wiring.classifiers].outputs[0]
        taken, state = self._cell(wiring.recurrent[0].forward)
        layers = ",\n".join(f"    {{{self._layer(layer)}}}" for layer in wiring.recurrent)
        kept_from = wiring.kept()["kept_from"] if wiring.event_ring else 0
        decoder = decoder_words(numbers)
        body = _lines(
            self._number(wiring.classifiers),
            f"{scores.element_bytes}u, {taken.element_bytes}u, {state.element_bytes}u, {len(wiring.recurrent)}u",
            "layers",
            f"{{{self._bridge()}}}",
            f"{wiring.look_ahead}u",
            f"{wiring.event_ring}u, {wiring.stream.event_hop}u, {kept_from}u",
            f"{self.name.upper()}_CELL_STEPS" if wiring.event_ring else "0u",
            f"{{{decoder['settings']}}}",
        )
        return (
            f"\nstatic const kmtl_event_layer_t layers[{len(wiring.recurrent)}] = {{\n{layers},\n}};\n"
            f"\nstatic const kmtl_event_class_t each[{scores.size}] = {{\n{decoder['each']}\n}};\n"
            f"\nstatic const kmtl_event_stream_settings_t events = {{\n{body}\n}};\n"
        )

    def _layer(self, layer: Recurrent) -> str:
        forward, backward = layer.forward, layer.backward or layer.forward
        (taken, state), (_, other) = self._cell(forward), self._cell(backward)
        sizes = f"{taken.size}u, {state.size}u, {state.zero}, {other.zero}"
        return f"{self._number(forward)}, {self._number(backward)}, {sizes}"

    def _bridge(self) -> str:
        shift = self.artifact.wiring.shift
        return "false, 0u, 0" if shift is None else f"true, {shift}u, {self._embedding.zero}"

    def _cell(self, member: str) -> tuple[Port, Port]:
        taken, state = self.artifact.members[member].inputs
        return taken, state

    @property
    def _embedding(self) -> Port:
        return self.artifact.network.outputs[embedding_place(self.artifact)]

    def _number(self, member: str) -> str:
        return f"{self.name}_{identifier(member)}".upper()


def _spread(name: str, artifact: Artifact) -> str:
    """Lines of the header on how a pass of both directions is spread."""
    wiring, prefix = artifact.wiring, name.upper()
    ring, hop, steps = wiring.event_ring, wiring.stream.event_hop, pass_cells(wiring)
    most, least = max(wiring.scene_ring, 1), -(-steps // hop)
    return (
        f"/* Cells that are invoked with an embedding at the most. A pass over the ring takes {steps:,} and must end\n"
        f" * within {hop:,} embeddings; with more cells it ends sooner, and a push takes longer. */\n"
        f"#ifndef {prefix}_CELL_STEPS\n#define {prefix}_CELL_STEPS {cell_steps(wiring)}u\n#endif\n"
        f"#if ({prefix}_CELL_STEPS < {least}u) || ({prefix}_CELL_STEPS > {steps}u)\n"
        f'#error "{prefix}_CELL_STEPS must be {least} to {steps}"\n#endif\n'
        f"/* Embeddings that are kept. */\n#define {prefix}_RING \\\n"
        f"  ((KMTL_EVENT_STREAM_RING({ring}u, {prefix}_CELL_STEPS) > {most}u) ? "
        f"KMTL_EVENT_STREAM_RING({ring}u, {prefix}_CELL_STEPS) : {most}u)\n"
    )


def _ring(name: str, artifact: Artifact) -> str:
    wiring = artifact.wiring
    return f"{name.upper()}_RING" if wiring.event_ring else f"{max(wiring.scene_ring, 1)}u"


def _elements(field: str, buffer: Buffer, name: str, artifact: Artifact) -> str:
    """Elements of a buffer, as C has them."""
    if field != "ring" or not artifact.wiring.event_ring:
        return str(buffer.elements)
    return f"{_ring(name, artifact)} * {artifact.network.outputs[embedding_place(artifact)].size}u"


def _buffer_bytes(name: str, buffers: Mapping[str, Buffer], artifact: Artifact) -> str:
    """Bytes of the buffers, as C has them: of the ring and the samples by how it is compiled."""
    fixed = sum(buffer.size_bytes for field, buffer in buffers.items() if field not in ("history", "ring"))
    ring, history = _elements("ring", buffers["ring"], name, artifact), buffers["history"].elements
    element = buffers["ring"].size_bytes // buffers["ring"].elements
    return f"({fixed}u + ({history}u * sizeof(kmtl_log_mel_sample_t)) + ({ring} * {element}u))"


def _lines(*cells: str) -> str:
    return "\n".join(f"    {cell}," for cell in cells)
