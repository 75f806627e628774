"""What follows from the members of a streaming artifact and its wiring: costs, rings, latency, buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import DecodeSettings, begin_delay_steps, decoder_numbers
from keras_mtl.tflite.artifact.facts import Facts
from keras_mtl.tflite.artifact.member import Member
from keras_mtl.tflite.artifact.wiring import Wiring


def totals(members: Mapping[str, Member], wiring: Wiring, facts: Facts) -> dict[str, Any]:
    """The keys of a streaming artifact's manifest that follow from its members.

    Returns:
        `rings`: of each decoder that reads one `embeddings`, `seconds`, `hop_steps`, `hop_s`, and of the events
        `kept_from` and `kept_to` (the outputs of a full ring that are kept); `latency_s` of each task; `wiring`;
        `members`: of each file, sha256, bytes, MACs of one call; `parameter_bytes`, `macs_per_second`,
        `calls_per_second`; `buffers`: bytes that are kept between calls, and their sum `buffer_bytes`.

    Raises:
        LookupError, TypeError, ValueError, ArithmeticError: members or facts that do not fit the wiring.
    """
    settings = facts.features
    calls = wiring.calls_per_second(settings.sample_rate_hz / settings.hop)
    listed = {name: _entry(members[name]) for name in wiring.members}
    encoder = members[wiring.encoder]
    embedding = next((port for port in encoder.outputs if port.name == "embedding"), encoder.outputs[0])
    state_bytes = 0
    if wiring.recurrent:
        outputs = members[wiring.recurrent[0].forward].outputs
        state = next((port for port in outputs if port.name == "state"), outputs[0])
        state_bytes = state.size * state.element_bytes
    taken = {state.taken for state in wiring.stream.states}
    buffers = wiring.buffer_bytes(embedding.size * embedding.element_bytes, state_bytes)
    buffers["encoder_states"] = sum(p.elements * p.element_bytes for p in encoder.inputs if p.name in taken)
    return {
        "rings": _rings(wiring, settings),
        "latency_s": latency_s(wiring, settings, facts.decoding, facts.labels.events),
        "wiring": wiring.to_dict(),
        "members": listed,
        "parameter_bytes": sum(entry["parameter_bytes"] for entry in listed.values()),
        "macs_per_second": round(sum(calls[name] * listed[name]["macs"] for name in listed)),
        "calls_per_second": {name: round(value, 3) for name, value in calls.items()},
        "buffers": buffers,
        "buffer_bytes": sum(buffers.values()),
    }


def latency_s(
    wiring: Wiring, settings: LogMelSettings, decoding: DecodeSettings, labels: Sequence[str]
) -> dict[str, float]:
    """The longest that a sound waits for each task's output, in seconds; the time to compute it comes on top.

    It is half a window of the features, the encoder's steps, the time until the decoder runs, and of the events what
    the begin of one waits for in the slowest class: half its median filter and, where short events are dropped, the
    shortest one and a pause that it goes on after (`begin_delay_steps`). What the end of an event waits for beyond
    that, and how long the smoothing holds a scene, are not in it.

    Args:
        wiring: of a streaming artifact.
        settings: its features.
        decoding: how events are decoded.
        labels: the classes of the events.
    """
    step_s, front_s = wiring.stream.stride * settings.hop_s, settings.fft / 2 / settings.sample_rate_hz
    decoded = {"events": begin_delay_steps(decoder_numbers(decoding, labels, step_s))}
    steps = wiring.latency_steps()
    return {task: round(front_s + (count + decoded.get(task, 0)) * step_s, 6) for task, count in steps.items()}


def _rings(wiring: Wiring, settings: LogMelSettings) -> dict[str, Any]:
    step_s = wiring.stream.stride * settings.hop_s

    def ring(embeddings: int, hop: int) -> dict[str, Any]:
        seconds = {"seconds": round(embeddings * step_s, 6), "hop_steps": hop, "hop_s": round(hop * step_s, 6)}
        return {"embeddings": embeddings} | seconds

    rings = {}
    if wiring.scene_ring:
        rings["scenes"] = ring(wiring.scene_ring, wiring.stream.scene_hop)
    if wiring.event_ring:
        rings["events"] = ring(wiring.event_ring, wiring.stream.event_hop) | wiring.kept()
    return rings


def _entry(member: Member) -> dict[str, Any]:
    if member.macs is None:
        raise ValueError(f"the MACs of {member.name} can't be counted")
    return {
        "file": f"{member.name}.{member.facts.values['format']}.tflite",
        "macs": member.macs,
        "sha256": member.sha256,
        "file_bytes": len(member.content),
        "parameter_bytes": member.parameter_bytes,
        "format": member.facts.values["format"],
    }
