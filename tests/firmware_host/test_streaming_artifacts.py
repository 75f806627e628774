"""Streaming artifacts: the outputs of a whole clip, whatever the pushes; their manifest, report and refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from small_artifacts import (
    BANDS,
    CLIP,
    CLIP_EMBEDDINGS,
    ENCODER,
    FEATURES,
    STREAM,
    WINDOW,
    Maker,
    make_streaming,
    make_two_state,
    noise,
)

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError, EngineError, VerdictFailed
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.arena import arena_of_members
from keras_mtl.firmware_host.bundle.text import require_listener
from keras_mtl.firmware_host.device import listener_memory
from keras_mtl.firmware_host.emulate import emulate, stream_memory
from keras_mtl.firmware_host.emulate import stream_arena_bytes as arena_bytes
from keras_mtl.firmware_host.emulate.checks import audio_latency_s, events_differ, parity_probability
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.emulate.parity import parities
from keras_mtl.firmware_host.engines import EngineRun, run
from keras_mtl.firmware_host.engines.interpreters import open_model
from keras_mtl.firmware_host.targets import Target, load_target
from keras_mtl.tflite.artifact import MANIFEST, Artifact, Golden, Member

#: (type of the encoder, look-ahead of a causal event decoder or None).
KINDS = [("int8", None), ("int16", None), ("int8", 2)]


@pytest.fixture(scope="module")
def streams(builder) -> dict[tuple, Artifact]:
    return {kind: make_streaming(builder, *kind) for kind in KINDS}


def opened(member: Member) -> Callable[..., Any]:
    """A file on LiteRT, in this process."""
    model = open_model(member.content, member.inputs, member.outputs, {"engine": "litert"})
    return lambda *arrays: [np.array(values) for values in model.invoke([np.ascontiguousarray(a) for a in arrays])]


def embeddings_of(builder: Any, dtype: str, clip: np.ndarray) -> np.ndarray:
    """Embeddings [steps, size] of a clip [frames, bands] by the encoder that takes it whole."""
    whole = Maker(builder, np.random.default_rng()).whole(dtype, len(clip))
    return opened(Member.of(whole))(clip[None, ..., None])[0][0]


def scores_of(artifact: Artifact, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers "strong" and "attention" [steps, events] of a clip, each layer over the whole of it before the next."""
    wiring, members = artifact.wiring, {name: opened(member) for name, member in artifact.members.items()}
    steps: np.ndarray = embeddings
    if wiring.shift is not None:
        zero = next(port for port in artifact.network.outputs if port.name == "embedding").zero_point
        steps = ((embeddings.astype(int) - zero) * 2**wiring.shift).astype(np.int16)

    def states(name: str, given: np.ndarray) -> np.ndarray:
        state, found = np.zeros((1, 3), np.int16), []
        for step in given:
            (state,) = members[name](step[None], state)
            found.append(state[0])
        return np.stack(found)

    for layer in wiring.recurrent:
        ways = [states(layer.forward, steps)]
        if layer.backward is not None:
            ways.append(states(layer.backward, steps[::-1])[::-1])
        steps = np.concatenate(ways, axis=1)
    read = np.minimum(np.arange(len(steps)) + wiring.look_ahead, len(steps) - 1)
    pairs = [members[wiring.classifiers](steps[at][None]) for at in read]
    strong, attention = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return strong, attention


def context_of(artifact: Artifact, target: Target, runs: dict[str, EngineRun] | None = None) -> Context:
    """What checks look at that need no arena and no operators."""
    found = parities(artifact, runs or {})
    return Context(artifact, target, (), (), runs or {}, (), found, None, None, ())


def pushes_of(total: int, seed: int) -> list[int]:
    """Sizes from 1 up, most of them small, nothing among them."""
    generator, sizes = np.random.default_rng(seed), [0]
    while sum(sizes) < total:
        sizes.append(min(int(2 ** generator.uniform(0, 6)), total - sum(sizes)))
    return sizes


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_the_whole_clip(builder, kind):
    whole_ring = CLIP_EMBEDDINGS if kind[1] is None else None
    artifact = make_streaming(builder, *kind, scene_hop=1, event_hop=whole_ring)
    port, clip = artifact.network.inputs[0], noise(kind[0], CLIP, seed=7)
    # Beyond a clip's end lies what stands for 0, and so it does in the stream.
    recording = np.concatenate([clip, np.full((STREAM.stride, BANDS), port.zero_point, clip.dtype)])
    found = run("litert", artifact, {"recording": recording}, pushes_of(len(recording), 1)).outputs
    embeddings = embeddings_of(builder, kind[0], clip)
    np.testing.assert_array_equal(found["integers"], scores_of(artifact, embeddings)[0])
    assert len(np.unique(found["strong"])) > 10
    assert found["calls"].tolist() == list(range(4, CLIP_EMBEDDINGS + 1))
    head, (logits,) = opened(artifact.members["scene_head"]), artifact.members["scene_head"].outputs
    goal = [logits.dequantize(head(embeddings[None, end - 4 : end])[0][0]) for end in found["calls"]]
    np.testing.assert_array_equal(found["scenes"], goal)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_go_through_it_from_a_start_to_their_end(builder, streams, kind):
    """One after the other in one process, and each as by itself."""
    artifact = streams[kind]
    clips = np.stack([noise(kind[0], CLIP, seed)[..., None] for seed in range(2)])
    seconds = np.stack([noise(kind[0], WINDOW, seed)[..., None] for seed in range(3)])
    found = run("litert", artifact, {"scene_clips": seconds, "event_clips": clips}).outputs
    ports = artifact.members["classifiers"].outputs
    for number, clip in enumerate(clips):
        pair = scores_of(artifact, embeddings_of(builder, kind[0], clip[..., 0]))
        strong, attention = (port.dequantize(each).astype(float) for port, each in zip(ports, pair, strict=True))
        np.testing.assert_array_equal(found["strong"][number], strong.astype(np.float32))
        weights = np.exp(attention) / np.exp(attention).sum(axis=-1, keepdims=True)
        goal = (strong * weights).sum(0) / weights.sum(0)
        np.testing.assert_allclose(found["weak"][number], goal, rtol=1e-5)
    head, (logits,) = opened(artifact.members["scene_head"]), artifact.members["scene_head"].outputs
    goals = [head(embeddings_of(builder, kind[0], second[..., 0])[None])[0][0] for second in seconds]
    np.testing.assert_array_equal(found["scenes"], logits.dequantize(np.stack(goals)))
    assert len(np.unique(found["scenes"])) > 3
    longer = run("tflm", artifact, {"event_clips": np.concatenate([clips, clips[:, :5]], axis=1)}).outputs
    assert longer["strong"].shape[1] == CLIP_EMBEDDINGS + 2
    with pytest.raises(ArtifactError, match="6 frames are too few for the scene decoder"):
        run("tflm", artifact, {"scene_clips": seconds[:, :6]})


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_of_the_pushes_change_nothing(streams, kind):
    golden = streams[kind].golden
    runs = [run("tflm", streams[kind], golden.inputs, pushes) for pushes in (pushes_of(75, 2), [1] * 75)]
    for each in runs:
        np.testing.assert_array_equal(each.outputs["strong"], golden.outputs["strong"])
        np.testing.assert_array_equal(each.outputs["scenes"], golden.outputs["scenes"])
    # Embedding k comes out of step k + 1, and 75 frames are 37 steps.
    assert len(runs[0].outputs["strong"]) == 36


@pytest.mark.parametrize(("hop", "embeddings"), [(None, 100), (12, 47), (1, 30), (5, 11), (5, 12), (7, 1), (7, 0)])
def test_passes_give_an_output_for_every_embedding_once(builder, hop, embeddings):
    wiring = make_streaming(builder, "int8").wiring.streaming(STREAM, event_hop=hop)
    passes = list(wiring.event_passes(embeddings))
    assert [k for each in passes for k in range(each.kept_from, each.kept_to)] == list(range(embeddings))
    kept = wiring.kept()
    for each in passes[1:-1]:
        assert each.last - each.first == CLIP_EMBEDDINGS
        assert (each.kept_from - each.first, each.kept_to - each.first) == (kept["kept_from"], kept["kept_to"])


def test_manifest_tells_rings_rates_and_latency(streams):
    manifest = streams["int8", None].manifest
    # A step is 20 ms, the window of the features 128 ms, the median filter three steps, the encoder a step late.
    assert manifest["rings"] == {
        "scenes": {"embeddings": 4, "seconds": 0.08, "hop_steps": 2, "hop_s": 0.04},
        "events": {"embeddings": 12, "seconds": 0.24, "hop_steps": 12, "hop_s": 0.24, "kept_from": 0, "kept_to": 12},
    }
    assert manifest["latency_s"] == {"scenes": 0.124, "events": 0.344}
    assert manifest["buffers"] == {
        "ring": 12 * 4,
        "states_1": 12 * 2 * 6,
        "states_2": 12 * 6,
        "running_states": 12,
        "encoder_states": 3 * 6,
    }
    assert manifest["calls_per_second"] == {
        "encoder_step": 50.0,
        "scene_head": 25.0,
        **{f"gru_{n}_{way}": 50.0 for n in (1, 2) for way in ("forward", "backward")},
        "classifiers": 50.0,
    }
    causal = streams["int8", 2].manifest
    # Three steps: the one at hand and two to come.
    assert causal["latency_s"] == {"scenes": 0.124, "events": round(0.064 + 0.02 * (3 + 1 + 1), 6)}
    assert "events" not in causal["rings"]
    assert causal["buffers"] == {"ring": 4 * 4, "running_states": 12, "encoder_states": 18}


def test_saved_and_read_back_with_a_hop_of_its_own(builder, tmp_path):
    made = make_streaming(builder, "int8", event_hop=8)
    loaded = Artifact.load(made.save(tmp_path / "artifact"))
    assert loaded.manifest == json.loads(json.dumps(made.manifest))
    assert loaded.wiring == made.wiring
    assert loaded.wiring.kept() == {"kept_from": 2, "kept_to": 10}
    for name, values in {**made.golden.inputs, **made.golden.outputs}.items():
        np.testing.assert_array_equal({**loaded.golden.inputs, **loaded.golden.outputs}[name], values)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("wiring", "event_hop"), 13, "event hop of 13 steps"),
        (("wiring", "scene_hop"), 0, "scene hop of 0"),
        (("wiring", "event_hop"), "8", "wiring of the artifact can't be read"),
        (("wiring", "stream"), {"stride": 2}, "schedule of the stream can't be read"),
        (("latency_s",), {"scenes": 0.0, "events": 0.0}, "latency_s is not what its members hold"),
        (("rings",), {}, "rings is not what"),
        (("decoding", "scene_weight"), 2.0, "decode.scene_weight = 2.0 is out of range"),
        (("decoding", "scene_hold"), 1, "decoding can't be used"),
        (("decoding", "classes"), {"bark": {"gap_s": -1}}, "decode.classes.'bark'.gap_s = -1 is out of range"),
        (
            ("decoding", "classes"),
            {"barks": {}},
            r"decode.classes: 'barks' is no class of the events",
        ),
    ],
)
def test_a_changed_manifest_is_refused(streams, tmp_path, path, value, says):
    folder = streams["int8", None].save(tmp_path / "artifact")
    manifest = json.loads((folder / MANIFEST).read_text())
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=says):
        Artifact.load(folder)


def test_a_class_with_a_filter_longer_than_the_ring_is_refused(builder, tmp_path):
    decoding = DecodeSettings(0.5, 0.06, classes={"bark": {"median_s": 0.3}})
    folder = make_two_state(builder, "int8", decoding=decoding).save(tmp_path / "artifact")
    with pytest.raises(ArtifactError, match="the median filter of the artifact is longer than what its decoder reads"):
        Artifact.load(folder)


def test_golden_data_of_another_artifact_are_refused(streams, tmp_path):
    folder = streams["int8", None].save(tmp_path / "artifact")
    other = streams["int16", None].save(tmp_path / "other")
    (folder / "golden.npz").write_bytes((other / "golden.npz").read_bytes())
    with pytest.raises(ArtifactError, match=r"does not fit the artifact: recording, scenes, strong"):
        Artifact.load(folder)


def test_report_tells_the_memory(streams):
    artifact = streams["int8", None]
    report = emulate(artifact, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    assert [engine.engine for engine in report.engines if engine.ran] == ["tflm", "litert"]
    memory, arenas = report.artifact["memory"], report.arena["members"]
    assert memory["arena_bytes"] == {name: one["measured_bytes"] for name, one in arenas.items()}
    kept = sum(artifact.manifest["buffers"].values())
    assert memory["separate_bytes"] == report.arena["measured_bytes"] + kept
    # What is planned lies over each other, what interpreters keep adds up.
    assert memory["shared_bytes"] == report.arena["shared_bytes"] + kept
    assert memory["shared_bytes"] < memory["separate_bytes"]
    # On a device of 32 bit: one arena, the interpreters, and a listener that has the front end's memory.
    room, fft = report.check("arena_bytes"), FEATURES.fft
    device, operators = report.arena["device"], sum(len(one["operators"]) for one in arenas.values())
    fixed = sum(device[part] for part in ("persistent_bytes", "beyond_plan_bytes", "reserve_bytes"))
    working = max(device["activations_bytes"], device["planning_bytes"])
    assert 0 <= memory["shared_arena_bytes"] - fixed - working < 16
    assert device["activations_bytes"] == max(one["device"]["activations_bytes"] for one in arenas.values())
    assert device["persistent_bytes"] < sum(one["device"]["persistent_bytes"] for one in arenas.values())
    assert memory["reserve_bytes"] == 16 * operators
    assert 7 * 224 < memory["interpreter_bytes"] < 7 * 800
    assert memory["front_end_bytes"] == 4 * (FEATURES.window + 2 * fft + BANDS)
    assert kept + memory["front_end_bytes"] < memory["listener_bytes"]
    whole = sum(memory[part] for part in ("shared_arena_bytes", "interpreter_bytes", "listener_bytes"))
    assert memory["total_bytes"] == whole
    assert room.value == whole + memory["kept_audio_bytes"]
    assert room.limit == 524_288 - 65_536
    assert f"{memory['separate_bytes']:,}" in room.why
    assert report.check("audio_latency_s").value == 0.424  # 0.344 and the part of a pass before its first score
    # LiteRT's tables of sigmoid and tanh are others than TFLM's, whose results are the golden ones.
    assert report.check("parity_lsb").value <= 1
    assert 0 < report.check("parity_probability").value < 0.01
    # Two engines that agree with a network that is another one: the report says so.
    outputs = artifact.golden.outputs
    wrong = Golden(artifact.golden.inputs, {**outputs, "strong": 1 - outputs["strong"]})
    failed = emulate(replace(artifact, golden=wrong), load_target("stm32h743"), ["litert"])
    assert {"parity_probability", "events_differ"} <= {check.name for check in failed.checks if not check.ok}


def runs_of(**strong: np.ndarray | None) -> dict[str, EngineRun]:
    """Runs that gave these probabilities; None for none."""
    given = {name: {} if values is None else {"strong": values} for name, values in strong.items()}
    return {name: EngineRun(name, "1", outputs, {}) for name, outputs in given.items()}


def test_probabilities_that_are_no_number_fail_in_one_line(streams):
    artifact, board = streams["int8", None], load_target("stm32h743")
    sound = artifact.golden.outputs["strong"]
    odd = sound.copy()
    odd[3, 1] = np.nan
    context = context_of(artifact, board, runs_of(tflm=sound, litert=odd))
    check = parity_probability(context)
    assert (check.value, check.ok) == (None, False)
    assert check.why.startswith("not a number, or not as many as in the reference: litert, 36 steps")
    assert check.why.endswith("ran: tflm, litert")
    json.dumps(context.parities["events"].to_dict(2), allow_nan=False)
    assert context.parities["events"].largest_lsb == np.inf
    few = parity_probability(context_of(artifact, board, runs_of(tflm=sound[:-1])))
    assert (few.value, few.ok) == (None, False)
    same = parity_probability(context_of(artifact, board, runs_of(tflm=sound)))
    assert (same.value, same.ok) == (0.0, True)


def test_limits_of_probabilities_and_events_are_those_of_the_target(streams):
    artifact, board = streams["int8", None], load_target("stm32h743")
    sound = artifact.golden.outputs["strong"]
    moved = np.roll(sound, 3, axis=0)  # every event of the recording
    apart = float(np.abs(moved - sound).max())
    for limit, ok in ((0.01, False), (apart - 1e-3, False), (apart + 1e-3, True)):
        context = context_of(artifact, replace(board, parity_probability=limit), runs_of(tflm=moved))
        check = parity_probability(context)
        assert (check.limit, check.ok, check.value) == (limit, ok, pytest.approx(apart, abs=1e-6))
    found = {}
    for fraction in (0.0, 0.05, 1.0):
        for name, values in (("same", sound), ("moved", moved)):
            context = context_of(artifact, replace(board, events_differ_fraction=fraction), runs_of(tflm=values))
            check = events_differ(context)
            found[fraction, name] = (check.value, check.limit, check.ok)
    events = int(re.search(r"which has (\d+) events", check.why)[1])
    assert events > 2
    limits = {0.0: 0, 0.05: 2, 1.0: 2 * events}  # one that moves counts twice
    for fraction, limit in limits.items():
        assert found[fraction, "same"] == (0, limit, True)
        value, *rest = found[fraction, "moved"]
        assert value > 2
        assert rest == [limit, value <= limit]


@pytest.mark.parametrize("runs", [{}, runs_of(tflm=None)])
def test_engines_without_probabilities_fail_in_one_line(streams, runs):
    context = context_of(streams["int8", None], load_target("stm32h743"), runs)
    check = parity_probability(context)
    assert (check.value, check.ok, check.why) == (None, False, "no engine could run the artifact")
    assert events_differ(context) is None


def test_memory_of_what_was_planned_only(streams):
    """A member that TFLM did not run counts by its plan, and fails the check; a budget has no RAM."""
    artifact, board = streams["int8", None], load_target("stm32h743")
    plans = arena_of_members(artifact.members, {})
    measured = {name: one["planned_bytes"] for name, one in plans["members"].items()}
    for found in ({}, {**measured, ENCODER: None}):
        arena = arena_of_members(artifact.members, found)
        ram = stream_memory(artifact, arena)
        assert ram["arena_bytes"] == measured
        check = arena_bytes(arena, ram, board)
        assert (check.value, check.ok) == (None, False)
        assert check.why.startswith("not measured: TFLM did not run the artifact, planned from the file")
    whole = arena_of_members(artifact.members, measured)
    assert stream_memory(artifact, whole) == ram
    fixed = stream_memory(artifact, whole, front_end="fixed")
    assert ram["total_bytes"] - fixed["total_bytes"] == 2 * artifact.facts.features.window
    assert ram["front_end_bytes"] - fixed["front_end_bytes"] == 2 * artifact.facts.features.window
    assert arena_bytes(whole, ram, board).ok
    assert arena_bytes(whole, ram, load_target("dcase-asc")) is None


def test_members_of_another_artifact_are_one_clear_line(streams):
    artifact = streams["int8", None]
    for name, other in (("scene_head", "classifiers"), ("gru_1_forward", "scene_head")):
        swapped = replace(artifact, members={**artifact.members, name: artifact.members[other]})
        with pytest.raises(ArtifactError, match="don't have the ports that its wiring asks for"):
            listener_memory(swapped)


def test_a_class_that_waits_for_the_shortest_event_is_in_the_latency(builder):
    """Five steps of 20 ms until it has lasted, two of a pause, and a filter of five; the other class is the faster."""
    classes = {"bell": {"shortest_s": 0.12, "gap_s": 0.05, "median_s": 0.1}}
    plain = make_two_state(builder, "int8", 0, "joint", DecodeSettings(0.5, 0.06))
    slow = make_two_state(builder, "int8", 0, "joint", DecodeSettings(0.5, 0.06, classes=classes))
    waits = slow.manifest["latency_s"]
    assert waits["events"] - plain.manifest["latency_s"]["events"] == pytest.approx((5 + 2 + 2 - 1) * 0.02)
    check = audio_latency_s(context_of(slow, replace(load_target("stm32h743"), audio_latency_s=0.1)))
    assert "its step, the look-ahead, the median filter and the shortest event (events; " in check.why
    assert "a shorter median filter, a smaller decode.shortest_s, or " in check.why
    sizes = [listener_memory(each)["decoder_scores"].elements for each in (plain, slow)]
    assert sizes == [2 * 2 * 3, 2 * 2 * 5], "as long as the longest filter for each of two classes"


def test_numbers_of_events_that_the_c_listener_has_no_room_for_are_refused(builder):
    decoding = DecodeSettings(0.5, 0.06, classes={"bark": {"shortest_s": 2000.0}})
    with pytest.raises(
        VerdictFailed, match="events are decoded over 100,000 steps, the C listener takes 65,535 at most"
    ):
        require_listener(make_two_state(builder, "int8", 0, "joint", decoding))


@pytest.mark.parametrize(
    ("kind", "options", "limit_s", "remedies"),
    [
        # Of the events alone, of both tasks, and of one that leaves nothing to be tried.
        (("int8", None), {}, 0.3, "a smaller --event-hop, a causal event part, or "),
        (("int8", None), {}, 0.1, "a smaller --scene-hop, a smaller --event-hop, a causal event part, or "),
        (("int8", None), {"event_hop": 1, "scene_hop": 1}, 0.12, "a causal event part, or "),
        (("int8", 2), {}, 0.15, "a shorter look-ahead, a shorter median filter, or "),
        (("int8", None), {"part": "scenes", "scene_hop": 1}, 0.1, ""),
    ],
)
def test_what_is_tried_for_a_shorter_latency_is_not_there_already(builder, kind, options, limit_s, remedies):
    artifact = make_streaming(builder, *kind, **options)
    board = load_target("stm32h743")
    check = audio_latency_s(context_of(artifact, replace(board, audio_latency_s=limit_s)))
    assert not check.ok
    assert check.why.endswith(f". Try {remedies}a target file with the limit that your application has")
    assert "Try" not in audio_latency_s(context_of(artifact, board)).why


def test_scenes_alone(builder, tmp_path):
    artifact = Artifact.load(make_streaming(builder, "int8", part="scenes").save(tmp_path / "artifact"))
    assert (artifact.facts.part, artifact.streams) == ("scenes", True)
    assert artifact.manifest["latency_s"] == {"scenes": 0.124}
    assert [*artifact.manifest["buffers"]] == ["ring", "encoder_states"]
    report = emulate(artifact, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    assert report.check("parity_probability") is report.check("events_differ") is None
    assert (report.artifact["part"], report.artifact["schedule"]) == ("scenes", "stream")
    # The scenes of the artifact of both tasks, whose ring is longer.
    joint = make_streaming(builder, "int8")
    np.testing.assert_array_equal(artifact.golden.outputs["scenes"], joint.golden.outputs["scenes"])
    with pytest.raises(ArtifactError, match="event hop of 5 steps") as refused:
        artifact.wiring.streaming(STREAM, event_hop=5)
    assert "no event decoder goes over a ring" in refused.value.hint


@pytest.mark.parametrize("look_ahead", [None, 2])
def test_one_encoder_is_saved_by_both_tasks_together(builder, look_ahead):
    """Of the artifacts' files, as often as their wirings have each run."""
    both, scenes, events = (
        make_streaming(builder, "int8", look_ahead, part=part).manifest for part in ("joint", "scenes", "events")
    )
    encoder = both["members"][ENCODER]["macs"] * both["calls_per_second"][ENCODER]
    assert encoder > 0
    assert scenes["macs_per_second"] + events["macs_per_second"] - both["macs_per_second"] == encoder


def test_events_alone(builder):
    artifact = make_streaming(builder, "int8", part="events")
    assert "scenes" not in artifact.manifest["latency_s"]
    report = emulate(artifact, load_target("dcase-asc"), ["litert"])
    assert report.check("parity_lsb") is None
    assert report.check("macs_per_second").value == artifact.manifest["macs_per_second"]


def test_commands(streams, tmp_path):
    folder = str(streams["int8", None].save(tmp_path / "stream"))
    written = ["--report", str(tmp_path / "report.json"), "--html", str(tmp_path / "report.html")]
    done = CliRunner().invoke(group, ["emulate", folder, "--target", "stm32h743", "--engine", "tflm", *written])
    assert done.exit_code == 0, done.output
    for words in (
        "arenas over each other",
        "encoder_states",
        "front end",
        "interpreters",
        "all of it",
        "latency   at most",
        "scenes 0.124 s",
    ):
        assert words in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert all(words in page for words in ("<h2>Memory</h2>", "all of it", "scenes 0.124 s"))
    macs = streams["int8", None].manifest["macs_per_second"]
    assert f"{macs:,} MACs for a second of audio" in page
    assert f"{macs:,} MAC/s" in done.stdout
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["artifact"]["latency_s"] == {"scenes": 0.124, "events": 0.344}


def test_wrong_use(builder, streams, make_artifact):
    artifact, recording = streams["int8", None], noise("int8", 8)
    with pytest.raises(EngineError, match="unknown engine tlfm"):
        run("tlfm", artifact, {"recording": recording})
    with pytest.raises(ArtifactError, match=r"recording of \[8, 6\] int16"):
        run("tflm", artifact, {"recording": recording.astype(np.int16)})
    with pytest.raises(ArtifactError, match="parts of 9 frames in all, where there are 8"):
        run("tflm", artifact, {"recording": recording}, [9])
    for inputs in ({}, {"input_0": recording}, {"recording": recording, "scene_clips": recording}):
        with pytest.raises(ArtifactError, match="takes a recording or clips, not"):
            run("tflm", artifact, inputs)
    with pytest.raises(EngineError, match="takes 1 inputs"):
        run("tflm", make_artifact("int8"), {"recording": recording})
    with pytest.raises(ArtifactError, match="has no golden data"):
        emulate(replace(artifact, golden=None), load_target("dcase-asc"))
    scenes = make_streaming(builder, "int8", part="scenes")
    with pytest.raises(ArtifactError, match="has no event decoder"):
        run("tflm", scenes, {"event_clips": recording[None, ..., None]})
