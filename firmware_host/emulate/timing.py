"""The checks of time: how long a sound waits for its result, and whether the core keeps up with the audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keras_mtl.decoding import decoder_numbers
from keras_mtl.firmware_host.device import pass_embeddings, score_embeddings
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.report import Check, at_most
from keras_mtl.tflite.artifact import Artifact

#: What has a shorter latency than whatever takes clips.
_STREAMING = "a streaming artifact (keras_mtl convert RUN --schedule stream)"


def audio_latency_s(context: Context) -> Check | str | None:
    """How long a sound waits for its result; None where the target has no limit.

    That is for the end of the audio that the result needs, of both directions for its turn among the steps that the C
    listener spreads a pass over and, where its cycles are known, for the longest burst of computing, at the lower end.
    """
    target, artifact = context.target, context.artifact
    if target.audio_latency_s is None:
        return None
    seconds, remedies = artifact.facts.audio_seconds or artifact.facts.hop_s, ["shorter clips", _STREAMING]
    if seconds is None:
        return "the file does not say how much audio an inference takes"
    waits_for = f"the end of the audio: {seconds_note(artifact)}"
    if artifact.streams:
        waits = dict(artifact.manifest["latency_s"])
        if later := score_embeddings(artifact.wiring):
            waits["events"] = round(waits["events"] + later * artifact.step_s, 3)
        task = max(waits, key=waits.__getitem__)
        late = [name for name, wait in waits.items() if wait > target.audio_latency_s]
        remedies = [remedy for name in late or [task] for remedy in _sooner(name, artifact)]
        seconds, waits_for = waits[task], _waits_for(task, waits, artifact)
    why = f"a result waits {seconds:g} s for {waits_for}; the time to compute it comes on top"
    if context.burst is not None:
        least, most = context.burst.seconds
        what = "a step with both decoders due" if artifact.streams else "an inference"
        why = f"a result waits {seconds:g} s for {waits_for}; then {what} takes {least:.3g} to {most:.3g} s to compute"
        seconds = round(seconds + least, 3)
    if seconds > target.audio_latency_s:
        others = "".join(f"{remedy}, " for remedy in remedies) + ("or " if remedies else "")
        why += f". Try {others}a target file with the limit that your application has"
    return at_most("audio_latency_s", seconds, target.audio_latency_s, "s", why)


def real_time(context: Context) -> Check | str | None:
    """The part of the core that a second of audio takes against what the application leaves; None for a budget.

    It fails where the lower end is over the limit. Where only the upper end is, it passes and is not certain.
    """
    target, compute = context.target, context.compute
    if not target.is_board:
        return None
    if compute is None:
        return context.no_compute
    if compute["per"] != "second":
        if compute["cycles_per_inference"] is None:
            return "it is not known how often the file runs, nor its cycles"
        first, last = (end / compute["clock_hz"] for end in compute["cycles_per_inference"])
        rate = f"up to {target.compute_share / last:,.3g} inferences a second" if last else "any number of inferences"
        return f"the file does not say how often it runs; an inference takes {first:.3g} to {last:.3g} s, so {rate}"
    if compute["load"] is None:
        missing = "" if compute["cycles_per_second"] is None else " for its front end"
        return f"cycles of {target.library} on a {target.core} were not measured{missing}, only instructions"
    least, most = compute["load"]
    parts = [("networks", compute["cycles_per_second"])]
    parts += [(part["name"], part["cycles_per_second"]) for part in compute["around"]]
    listed = ", ".join(f"{name} {first / 1e6:,.3g} to {last / 1e6:,.3g}" for name, (first, last) in parts)
    why = f"{least:.0%} to {most:.0%} of {compute['clock_hz'] / 1e6:g} MHz: {listed} M cycles for a second of audio"
    if len(parts) == 1:
        why += ", without a front end: the file does not say its features"
    check = at_most("real_time", least, target.compute_share, "of the core", why)
    return replace(check, certain=not check.ok or most <= target.compute_share)


def seconds_note(artifact: Artifact) -> str:
    """How much audio an inference takes, and how often one comes, in words."""
    hop_s, seconds = artifact.facts.hop_s, artifact.facts.audio_seconds
    every = f", one comes every {hop_s:g} s" if artifact.facts.get("hop_s") else ""
    return f"one inference hears {seconds:g} s{every}" if seconds else f"an inference comes every {hop_s:g} s"


def _waits_for(task: str, waits: Mapping[str, float], artifact: Artifact) -> str:
    """What the task of a stream with the longest latency waits for."""
    ring = artifact.wiring.event_ring
    turn = "its step, the look-ahead"
    if ring:
        turn = (
            f"the turn of the events' decoder over its ring, spread over {pass_embeddings(artifact.wiring) + 1} steps"
        )
    if task == "scenes":
        waits_for = "the scene decoder's turn"
    elif _drops_short(artifact):
        waits_for = f"{turn}, the median filter and the shortest event"
    else:
        waits_for = f"{turn}{',' if ring else ''} and the median filter"
    others = ", ".join(f"{name} {value:g} s" for name, value in waits.items() if name != task)
    return f"{waits_for} ({task}" + (f"; {others}" if others else "") + ")"


def _sooner(task: str, artifact: Artifact) -> list[str]:
    """What would shorten the latency of a stream's task: what it has not got already."""
    wiring = artifact.wiring
    if task == "scenes":
        return ["a smaller --scene-hop"] if wiring.stream.scene_hop > 1 else []
    if wiring.event_ring:
        found = {"a smaller --event-hop": wiring.stream.event_hop > 1, "a causal event part": True}
    else:
        filtered = max(event_numbers(artifact)["median"], default=1) > 1
        found = {"a shorter look-ahead": wiring.look_ahead > 0, "a shorter median filter": filtered}
    found["a smaller decode.shortest_s"] = _drops_short(artifact)
    return [remedy for remedy, helps in found.items() if helps]


def _drops_short(artifact: Artifact) -> bool:
    """Whether a begin waits until the event has lasted for the shortest."""
    return max(event_numbers(artifact)["shortest"], default=0) > 1


def event_numbers(artifact: Artifact) -> dict[str, Any]:
    """How the events of a streaming artifact are decoded from probabilities."""
    return decoder_numbers(artifact.facts.decoding, artifact.facts.labels.events, artifact.step_s)
