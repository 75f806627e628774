"""`listener.h` and `.c`: the settings of a streaming set for the C listener, and a struct with all its memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from keras_mtl.errors import VerdictFailed
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.bundle.c_source import identifier, real
from keras_mtl.firmware_host.bundle.set_settings import event_settings
from keras_mtl.firmware_host.bundle.settings import label_lines
from keras_mtl.firmware_host.bundle.static_files import filled
from keras_mtl.firmware_host.listener_memory import Buffer, listener_memory
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.stream_set_wiring import StreamWiring

#: `KMTL_LISTENER_MOST_STATES` of kmtl_listener.h.
_MOST_STATES = 15
_BYTES = {"int8": 1, "int16": 2}
#: The example's file.
EXAMPLE = "listener_main.cc"


def require_listener(artifacts: ArtifactSet) -> StreamWiring:
    """Refuses a set that the C listener does not run; gives the wiring of one that it runs.

    Raises:
        ArtifactError: the set hears clips.
        VerdictFailed: more states than the listener has room for, or types that it does not take.
    """
    wiring = artifacts.stream_wiring
    if len(wiring.stream.states) > _MOST_STATES:
        raise VerdictFailed(
            f"the encoder has {len(wiring.stream.states)} states, the C listener {_MOST_STATES} at most"
        )
    encoder = artifacts.members[wiring.encoder].manifest
    kinds = {port["dtype"] for port in (*encoder["inputs"], *encoder["outputs"])}
    cells = [artifacts.members[name].manifest for layer in wiring.recurrent for name in layer.cells]
    states = {port["dtype"] for cell in cells for port in (*cell["inputs"][1:], *cell["outputs"])}
    for what, found in (("encoder", kinds), ("states of the cells", states)):
        if len(found) > 1 or not found <= set(_BYTES):
            raise VerdictFailed(f"the {what} has types {', '.join(sorted(found))}: the listener takes one, of integers")
    return wiring


def listener_texts(name: str, artifacts: ArtifactSet) -> dict[str, str]:
    """The two files, which need `kmtl/NAME_log_mel_tables.h` and `listener_networks.h` beside them, and an example.

    Args:
        name: the set's identifier.
        artifacts: a streaming set.

    Raises:
        VerdictFailed: the listener does not run such a set.
    """
    wiring = require_listener(artifacts)
    settings = LogMelSettings.from_dict(artifacts.manifest["features"])
    buffers = listener_memory(artifacts)
    source = _Source(name, artifacts, wiring)
    words = {
        "name": name,
        "NAME": name.upper(),
        "buffer_bytes": sum(buffer.size_bytes for buffer in buffers.values()),
        "scratch_bytes": buffers["scratch"].size_bytes,
        "step_ms": round(wiring.stream.stride * settings.hop_s * 1000),
        "sample_rate_hz": settings.sample_rate_hz,
        "labels": "\n".join(label_lines(name.upper(), artifacts.manifest["labels"])),
        "fields": "\n".join(f"  {buffer.kind} {field}[{buffer.elements}];" for field, buffer in buffers.items()),
        "memory": "\n".join(_assigned(field, buffer) for field, buffer in buffers.items()),
        "state_count": max(1, len(wiring.stream.states)),
        "states": source.states(),
        "encoder": source.encoder(settings),
        "scenes": source.scenes() if wiring.scene_head else "",
        "events": source.events() if wiring.classifiers else "",
        "scenes_or_null": "&scenes" if wiring.scene_head else "NULL",
        "events_or_null": "&events" if wiring.classifiers else "NULL",
        "ring": f"{max(wiring.scene_ring, wiring.event_ring, 1)}u",
    }
    example = {"sample_rate_hz": settings.sample_rate_hz, "labels": _label_function(name, artifacts)}
    return {
        **{f"listener.{end}": filled(f"listener.{end}.in", **words) for end in ("h", "c")},
        EXAMPLE: filled("listener_main.cc.in", name=name, NAME=name.upper(), **example),
    }


def _label_function(name: str, artifacts: ArtifactSet) -> str:
    """C++ of the example that finds a label."""
    tasks = list(artifacts.manifest["labels"])
    lists = [f"  static const char* const {task}[] = {name.upper()}_{task.upper()}_LABELS;" for task in tasks]
    if len(tasks) > 1:
        found = "heard.kind == KMTL_HEARD_SCENE ? scenes[heard.label] : events[heard.label]"
    else:
        found = f"{tasks[0]}[heard.label]"
    opened, closed = "const char* LabelOf(const kmtl_heard_t& heard) {", "}"
    return "\n".join([opened, *lists, f"  return {found};", closed, ""])


def _assigned(field: str, buffer: Buffer) -> str:
    return f"  memory.{'events.' if buffer.of_events else ''}{field} = self->{field};"


@dataclass(frozen=True)
class _Source:
    """Initializers of the settings."""

    name: str
    artifacts: ArtifactSet
    wiring: StreamWiring

    def states(self) -> str:
        encoder = self._manifest(self.wiring.encoder)
        given = [port["name"] for port in encoder["outputs"]]
        lines = [
            f"    {{{math.prod(port['shape'])}u, {port['zero_point'] or 0}, {given.index(state.given)}u}},"
            for state, port in zip(self.wiring.stream.states, encoder["inputs"][1:], strict=True)
        ]
        return "\n".join(lines or ["    {0u, 0, 0u},"])

    def encoder(self, settings: LogMelSettings) -> str:
        stream, encoder = self.wiring.stream, self._manifest(self.wiring.encoder)
        source, given = encoder["inputs"][0], {state.given for state in stream.states}
        ((place, embedding),) = [each for each in enumerate(encoder["outputs"]) if each[1]["name"] not in given]
        spread = settings.std_db * source["scale"]
        return _lines(
            self._number(self.wiring.encoder),
            f"{_BYTES[source['dtype']]}u, {len(stream.states)}u, {place}u",
            f"{stream.stride}u, {stream.latency}u, {embedding['shape'][-1]}u",
            "states",
            f"&{self.name}_log_mel_tables",
            f"{real(1 / spread)}, {real(source['zero_point'] - settings.mean_db / spread)}",
        )

    def scenes(self) -> str:
        wiring, (port,) = self.wiring, self._manifest(self.wiring.scene_head)["outputs"]
        smoothing = self.artifacts.manifest["smoothing"]
        body = _lines(
            self._number(wiring.scene_head),
            f"{_BYTES[port['dtype']]}u, {wiring.scene_ring}u, {wiring.scene_hop}u",
            f"{{{port['shape'][-1]}u, {smoothing['hold']}u, {real(smoothing['weight'])}, {real(port['scale'])}}}",
        )
        return f"\nstatic const kmtl_listener_scenes_t scenes = {{\n{body}\n}};\n"

    def events(self) -> str:
        wiring, decoding = self.wiring, event_settings(self.artifacts)
        scores, first = self._manifest(wiring.classifiers)["outputs"][0], self._manifest(wiring.recurrent[0].forward)
        input_bytes, state_bytes = (_BYTES[port["dtype"]] for port in first["inputs"])
        layers = ",\n".join(f"    {{{self._layer(layer)}}}" for layer in wiring.recurrent)
        body = _lines(
            self._number(wiring.classifiers),
            f"{_BYTES[scores['dtype']]}u, {input_bytes}u, {state_bytes}u, {len(wiring.recurrent)}u",
            "layers",
            f"{{{self._bridge()}}}",
            f"{wiring.look_ahead}u",
            f"{wiring.event_ring}u, {wiring.event_hop}u, {wiring.kept()['kept_from'] if wiring.event_ring else 0}u",
            f"{{{scores['shape'][-1]}u, {decoding['median']}u, {decoding['on_above']}, {decoding['off_above']}, "
            f"{decoding['zero']}}}",
        )
        return (
            f"\nstatic const kmtl_event_layer_t layers[{len(wiring.recurrent)}] = {{\n{layers},\n}};\n"
            f"\nstatic const kmtl_event_stream_settings_t events = {{\n{body}\n}};\n"
        )

    def _layer(self, layer: Any) -> str:
        forward, backward = layer.forward, layer.backward or layer.forward
        (heard, state), other = self._manifest(forward)["inputs"], self._manifest(backward)["inputs"][1]
        sizes = f"{heard['shape'][-1]}u, {state['shape'][-1]}u, {state['zero_point']}, {other['zero_point']}"
        return f"{self._number(forward)}, {self._number(backward)}, {sizes}"

    def _bridge(self) -> str:
        if self.wiring.shift is None:
            return "false, 0u, 0"
        given = {state.given for state in self.wiring.stream.states}
        outputs = self._manifest(self.wiring.encoder)["outputs"]
        zero = next(port["zero_point"] for port in outputs if port["name"] not in given)
        return f"true, {self.wiring.shift}u, {zero}"

    def _manifest(self, member: str) -> dict[str, Any]:
        return self.artifacts.members[member].manifest

    def _number(self, member: str) -> str:
        return f"{self.name}_{identifier(member)}".upper()


def _lines(*cells: str) -> str:
    return "\n".join(f"    {cell}," for cell in cells)
