"""Hours of sound through the host path: no growth of memory, no drift of the clock, the same events in each loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_artifacts import FEATURES, STRIDE, make_streaming

from keras_mtl.firmware_host.device import Detection, OpenMember
from keras_mtl.firmware_host.device.detections import DetectionDecoder
from keras_mtl.firmware_host.device.stream import Outputs
from keras_mtl.firmware_host.engines import LiveSession

RATE_HZ = FEATURES.sample_rate_hz
STEP_S = STRIDE * FEATURES.hop_s
#: Steps of a loop: a multiple of both hops, so that each loop meets the decoders' calls where the last one did.
SCENE_HOP, EVENT_HOP, LOOP = 2, 10, 100
LOOP_S = LOOP * STEP_S
_KEPT_LOOPS = 3
_GROWTH_BYTES = 4 << 20
#: A day of sound takes half an hour, and more where other work runs beside it.
_A_DAY = pytest.param(24, marks=[pytest.mark.slow, pytest.mark.timeout(3 * 3600)])


@pytest.fixture(scope="module")
def artifact(builder):
    return make_streaming(builder, "int8", scene_hop=SCENE_HOP, event_hop=EVENT_HOP)


def resident_bytes(process: int | str = "self") -> int:
    """Memory of a process that lies in RAM."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def looped_sound() -> np.ndarray:
    """A loop of tones that come and go, each in a band of its own, int16."""
    generator = np.random.default_rng(6)
    time = np.arange(round(LOOP_S * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(time))
    for hz in (200, 700, 1500, 2500, 4000, 6500):
        loud = generator.uniform(size=10) < 0.5
        sound += np.repeat(loud * 10.0 ** generator.uniform(0, 3, 10), len(time) // 10) * np.sin(2 * np.pi * hz * time)
    return sound.clip(-32768, 32767).astype(np.int16)


def by_loop(detections: list[Detection]) -> dict[int, list[tuple]]:
    """Events that ended, by the loop that they began in, as if it were the first."""
    found: dict[int, list[tuple]] = {}
    for each in detections:
        if each.offset_s is not None:
            loop = int((each.onset_s + STEP_S / 2) // LOOP_S)
            ends = (round(each.onset_s - loop * LOOP_S, 6), round(each.offset_s - loop * LOOP_S, 6))
            found.setdefault(loop, []).append((*ends, each.label, each.score))
    return found


def require_same_loops(detections: list[Detection], goal: list[tuple] | None) -> list[tuple]:
    """Every whole loop of these has the same events, and those of the goal where there is one."""
    loops = by_loop(detections)
    for loop in sorted(loops)[1:-1]:
        goal = goal or loops[loop]
        assert loops[loop] == goal
    assert goal
    return goal


@pytest.mark.parametrize("hours", [_A_DAY, 0.05])
def test_sound_through_front_end_networks_and_decoders(artifact, hours):
    """24 hours take half an hour: the front end and small networks on TensorFlow Lite Micro."""
    sound, loops = looped_sound(), round(hours * 3600 / LOOP_S)
    sizes, heard, before, goal, drift = pushes(len(sound)), list[Detection](), 0, None, 0
    with LiveSession("tflm", artifact) as live:
        for loop in range(loops):
            for first, last in sizes:
                update = live.push(sound[first:last])
                heard += update.detections
            # The clock is that of the samples.
            drift = max(drift, abs(update.samples - (loop + 1) * len(sound)))
            if loop % 20 == 19:
                goal = require_same_loops(heard, goal)
                heard = [each for each in heard if each.onset_s > (loop - _KEPT_LOOPS) * LOOP_S]
            if loop == 20:
                before = resident_bytes(live.pid)
        grown = resident_bytes(live.pid) - before
        heard += live.finish().detections
    assert before and loops > 60
    assert grown < _GROWTH_BYTES
    assert drift == 0
    assert require_same_loops(heard, goal) == goal
    last = max(each.known_s for each in heard)
    assert loops * LOOP_S - 1 < last <= loops * LOOP_S


def pushes(samples: int) -> list[tuple[int, int]]:
    """Where the parts of a loop begin and end: the same in each, of sizes that are no multiple of anything."""
    sizes, done = np.random.default_rng(2).integers(1, 5000, samples), 0
    found = []
    while done < samples:
        found.append((done, min(samples, done + int(sizes[len(found)]))))
        done = found[-1][1]
    return found


def recorded(artifact) -> Iterator[Outputs]:
    """Made-up outputs of the networks: of the scene decoder and, a pass at a time, of the event decoder. No end."""
    names = artifact.wiring.scene_head, artifact.wiring.classifiers
    generator, steps = np.random.default_rng(5), 0
    logits, strong = (np.dtype(artifact.members[name].outputs[0].dtype) for name in names)
    scenes = generator.integers(-40, 40, (LOOP // SCENE_HOP, 3)).cumsum(0).clip(-128, 127).astype(logits)
    events = (generator.normal(0, 4000, (LOOP, 2)).cumsum(0) + 12_000).clip(0, 32_767).astype(strong)
    none = events[:0]
    while True:
        steps += SCENE_HOP
        known = events[(steps - EVENT_HOP) % LOOP :][:EVENT_HOP] if steps % EVENT_HOP == 0 else none
        yield Outputs(steps, scenes[(steps - SCENE_HOP) % LOOP // SCENE_HOP], known, none)


@pytest.mark.parametrize("hours", [_A_DAY, 0.5])
def test_made_up_network_outputs_through_the_decoders(artifact, hours):
    """24 hours take two minutes."""
    members = {name: OpenMember(list, each.inputs, each.outputs) for name, each in artifact.members.items()}
    decoder = DetectionDecoder(artifact.facts, artifact.wiring, members)
    found, goal, before, steps = list[Detection](), None, 0, 0
    for outputs in recorded(artifact):
        steps = outputs.embeddings
        found += [decoder.in_seconds(each, steps) for each in decoder.push(outputs)]
        if steps % (100 * LOOP) == 0:
            goal = require_same_loops(found, goal)
            before = before or resident_bytes()
            found = [each for each in found if each.onset_s > steps * STEP_S - _KEPT_LOOPS * LOOP_S]
        if steps * STEP_S >= hours * 3600:
            break
    assert resident_bytes() - before < _GROWTH_BYTES
    assert require_same_loops(found, goal) == goal
    # The times of the last events are exact: nothing was summed up.
    onsets = {round(each.onset_s / STEP_S + 0.25, 6) % 1 for each in found if each.offset_s is not None}
    assert onsets == {0.0}
    assert found[-1].known_s >= hours * 3600 - 1
