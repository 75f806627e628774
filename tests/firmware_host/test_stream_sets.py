"""Streaming sets: the answers of a set that hears clips, whatever the pushes; their manifest, report and refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from small_stream_sets import BANDS, CLIP_EMBEDDINGS, ENCODER, FEATURES, STREAM, make_stream_set, make_windowed, noise

from keras_mtl.cli import group
from keras_mtl.errors import ArtifactError, EngineError
from keras_mtl.firmware_host.arena_report import arena_of_set
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.firmware_host.engines.stream_set_runner import run_stream_set
from keras_mtl.firmware_host.listener_memory import listener_memory
from keras_mtl.firmware_host.stream_memory import arena_bytes, stream_memory
from keras_mtl.firmware_host.stream_set_checks import audio_latency_s
from keras_mtl.firmware_host.stream_set_emulator import emulate_stream_set
from keras_mtl.firmware_host.target import load_target
from keras_mtl.tflite.artifact_set import MANIFEST, ArtifactSet
from keras_mtl.tflite.stream_set_wiring import StreamWiring

#: (type of the encoder, look-ahead of a causal event decoder or None).
KINDS = [("int8", None), ("int16", None), ("int8", 2)]


@pytest.fixture(scope="module")
def streams(builder) -> dict[tuple, ArtifactSet]:
    return {kind: make_stream_set(builder, *kind) for kind in KINDS}


def pushes_of(total: int, seed: int) -> list[int]:
    """Sizes from 1 up, most of them small, nothing among them."""
    generator, sizes = np.random.default_rng(seed), [0]
    while sum(sizes) < total:
        sizes.append(min(int(2 ** generator.uniform(0, 6)), total - sum(sizes)))
    return sizes


@pytest.mark.parametrize(("kind", "engine"), [*((kind, "tflm") for kind in KINDS), (KINDS[0], "litert")])
def test_answers_are_those_of_the_set_that_hears_clips(builder, kind, engine):
    windowed = make_windowed(builder, *kind)
    whole_ring = CLIP_EMBEDDINGS if kind[1] is None else None
    stream = make_stream_set(builder, *kind, scene_hop=1, event_hop=whole_ring)
    port, clip = stream.members[ENCODER].manifest["inputs"][0], windowed.golden["clips"][0, ..., 0]
    # Beyond a clip's end lies what stands for 0, and so it does in the stream.
    recording = np.concatenate([clip, np.full((STREAM.stride, BANDS), port["zero_point"], clip.dtype)])
    heard = run_stream_set(engine, stream, recording, pushes_of(len(recording), 1))
    goal = run_set(engine, windowed, clips=clip[None, ..., None])
    np.testing.assert_array_equal(heard.strong, goal.strong[0])
    assert len(np.unique(heard.strong)) > 10
    assert heard.calls.tolist() == list(range(4, CLIP_EMBEDDINGS + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_is_heard_from_a_start_to_its_end(builder, kind):
    """Clips are to a streaming set what they are to the set that hears clips, one after the other in one process."""
    windowed, stream = make_windowed(builder, *kind), make_stream_set(builder, *kind)
    clips, seconds = windowed.golden["clips"], np.stack([noise(kind[0], 8, seed)[..., None] for seed in range(3)])
    heard, goal = (run_set("tflm", artifacts, seconds, clips) for artifacts in (stream, windowed))
    for found, expected in ((heard.scenes, goal.scenes), (heard.strong, goal.strong), (heard.weak, goal.weak)):
        np.testing.assert_array_equal(found, expected)
    assert len(np.unique(heard.scenes)) > 3
    longer = run_set("tflm", stream, clips=np.concatenate([clips, clips[:, :5]], axis=1))
    assert longer.strong.shape[1] == CLIP_EMBEDDINGS + 2
    with pytest.raises(ArtifactError, match="hears nothing in 6 frames"):
        run_set("tflm", stream, seconds[:, :6])


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_of_the_pushes_change_nothing(streams, kind):
    recording = streams[kind].golden["recording"]
    found = [run_stream_set("tflm", streams[kind], recording, pushes) for pushes in (pushes_of(75, 2), [1] * 75)]
    for heard in found:
        np.testing.assert_array_equal(heard.strong, streams[kind].golden["strong"])
        np.testing.assert_array_equal(heard.scenes, streams[kind].golden["scenes"])
    # Embedding k comes out of step k + 1, and 75 frames are 37 steps.
    assert len(found[0].strong) == 36


def test_scenes_are_those_of_the_seconds(builder):
    """The scene decoder hears the same of a ring as of a window whose embeddings look at nothing beyond it."""
    windowed, stream = make_windowed(builder, "int8"), make_stream_set(builder, "int8", scene_hop=1)
    port = stream.members[ENCODER].manifest["inputs"][0]
    second = noise("int8", 8, seed=9)
    # Zeros around the window, as its padding has them.
    zeros = np.full((8, BANDS), port["zero_point"], np.int8)
    heard = run_stream_set("tflm", stream, np.concatenate([zeros, second, zeros]))
    goal = run_set("tflm", windowed, second[None, ..., None])
    at = heard.calls.tolist().index(4 + 4)
    np.testing.assert_array_equal(heard.scenes[at], goal.scenes[0])


@pytest.mark.parametrize(("hop", "embeddings"), [(None, 100), (12, 47), (1, 30), (5, 11), (5, 12), (7, 1), (7, 0)])
def test_turns_answer_for_every_embedding_once(builder, hop, embeddings):
    wiring = make_wiring(builder, event_hop=hop)
    turns = list(wiring.turns(embeddings))
    assert [k for turn in turns for k in range(turn.kept_from, turn.kept_to)] == list(range(embeddings))
    kept = wiring.kept()
    for turn in turns[1:-1]:
        assert turn.last - turn.first == CLIP_EMBEDDINGS
        assert (turn.kept_from - turn.first, turn.kept_to - turn.first) == (kept["kept_from"], kept["kept_to"])


def make_wiring(builder, **hops) -> StreamWiring:
    return StreamWiring.of(make_windowed(builder, "int8").wiring, STREAM, ENCODER, **hops)


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
    made = make_stream_set(builder, "int8", event_hop=8)
    loaded = ArtifactSet.load(made.save(tmp_path / "set"))
    assert loaded.manifest == json.loads(json.dumps(made.manifest))
    assert loaded.stream_wiring == made.stream_wiring
    assert loaded.stream_wiring.kept() == {"kept_from": 2, "kept_to": 10}
    for name in ("recording", "scenes", "strong"):
        np.testing.assert_array_equal(loaded.golden[name], made.golden[name])


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("wiring", "event_hop"), 13, "event hop of 13 steps"),
        (("wiring", "scene_hop"), 0, "scene hop of 0"),
        (("wiring", "event_hop"), "8", "wiring of the streaming set can't be read"),
        (("wiring", "stream"), {"stride": 2}, "wiring of the stream can't be read"),
        (("latency_s",), {"scenes": 0.0, "events": 0.0}, "latency_s is not what its members say"),
        (("rings",), {}, "rings is not what"),
        (("smoothing",), {"weight": 2.0, "hold": 1}, "smoothing of the set's scenes"),
        (("smoothing",), None, "smoothing of the set's scenes"),
    ],
)
def test_a_changed_manifest_is_refused(streams, tmp_path, path, value, says):
    folder = streams["int8", None].save(tmp_path / "set")
    manifest = json.loads((folder / MANIFEST).read_text())
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=says):
        ArtifactSet.load(folder)


def test_sets_from_before_there_were_causal_ones_are_read(builder, tmp_path):
    folder = make_windowed(builder, "int8").save(tmp_path / "set")
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["wiring"]["look_ahead"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    loaded = ArtifactSet.load(folder)
    assert loaded.wiring == make_windowed(builder, "int8").wiring


def test_golden_data_of_another_set_are_refused(streams, tmp_path):
    folder = streams["int8", None].save(tmp_path / "set")
    other = streams["int16", None].save(tmp_path / "other")
    (folder / "set.golden.npz").write_bytes((other / "set.golden.npz").read_bytes())
    with pytest.raises(ArtifactError, match=r"does not fit the set: recording, scenes, strong"):
        ArtifactSet.load(folder)


def test_report_tells_the_memory(streams):
    artifacts = streams["int8", None]
    report = emulate_stream_set(artifacts, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    assert [engine.engine for engine in report.engines if engine.ran] == ["tflm", "litert"]
    memory, arenas = report.artifact["memory"], report.arena["members"]
    assert memory["arena_bytes"] == {name: one["measured_bytes"] for name, one in arenas.items()}
    kept = sum(artifacts.manifest["buffers"].values())
    assert memory["separate_bytes"] == report.arena["measured_bytes"] + kept
    # What is planned lies over each other, what interpreters keep adds up.
    assert memory["shared_bytes"] == report.arena["shared_bytes"] + kept
    assert memory["shared_bytes"] < memory["separate_bytes"]
    # On a device: one arena with its reserve, and a listener that has the front end's memory.
    room, fft = report.check("arena_bytes"), FEATURES.fft
    assert memory["shared_arena_bytes"] == memory["shared_bytes"] - kept + memory["reserve_bytes"]
    # One reserve for scratch buffers, and a small one for each of the other six networks.
    assert 0 <= memory["reserve_bytes"] - (5 + 6) * 1024 < 16
    assert memory["front_end_bytes"] == 4 * (FEATURES.window + 2 * fft + BANDS)
    assert kept + memory["front_end_bytes"] < memory["listener_bytes"]
    assert room.value == memory["total_bytes"] == memory["shared_arena_bytes"] + memory["listener_bytes"]
    assert room.limit == 524_288 - 65_536
    assert f"{memory['separate_bytes']:,}" in room.why
    assert report.check("audio_latency_s").value == 0.344
    # LiteRT's tables of sigmoid and tanh are others than TFLM's, whose results are the golden ones.
    assert report.check("parity_lsb").value <= 1
    assert 0 < report.check("parity_probability").value < 0.01
    # Two engines that agree with a network that is another one: the report says so.
    wrong = {**artifacts.golden, "strong": 1 - artifacts.golden["strong"]}
    failed = emulate_stream_set(replace(artifacts, golden=wrong), load_target("stm32h743"), ["litert"])
    assert {"parity_probability", "events_differ"} <= {check.name for check in failed.checks if not check.ok}


def test_memory_of_what_was_planned_only(streams):
    """A member that TFLM did not run counts by its plan, and fails the check; a budget has no RAM."""
    artifacts, board = streams["int8", None], load_target("stm32h743")
    contents = {name: artifact.content for name, artifact in artifacts.members.items()}
    plans = arena_of_set(contents, {})
    measured = {name: one["planned_bytes"] for name, one in plans["members"].items()}
    for found in ({}, {**measured, ENCODER: None}):
        arena = arena_of_set(contents, found)
        ram = stream_memory(artifacts, arena)
        assert ram["arena_bytes"] == measured
        check = arena_bytes(arena, ram, board)
        assert (check.value, check.ok) == (None, False)
        assert check.why.startswith("not measured: TFLM did not run the set, planned from the file")
    whole = arena_of_set(contents, measured)
    assert stream_memory(artifacts, whole) == ram
    assert arena_bytes(whole, ram, board).ok
    assert arena_bytes(whole, ram, load_target("dcase-asc")) is None


def test_members_of_another_set_are_one_clear_line(streams):
    artifacts = streams["int8", None]
    for name, other in (("scene_head", "classifiers"), ("gru_1_forward", "scene_head")):
        swapped = replace(artifacts, members={**artifacts.members, name: artifacts.members[other]})
        with pytest.raises(ArtifactError, match="don't have the ports that its wiring asks for"):
            listener_memory(swapped)


@pytest.mark.parametrize(
    ("kind", "options", "limit_s", "remedies"),
    [
        # Of the events alone, of both tasks, and of a set that leaves nothing to be tried.
        (("int8", None), {}, 0.3, "a smaller --event-hop, a causal event part, or "),
        (("int8", None), {}, 0.1, "a smaller --scene-hop, a smaller --event-hop, a causal event part, or "),
        (("int8", None), {"event_hop": 1, "scene_hop": 1}, 0.12, "a causal event part, or "),
        (("int8", 2), {}, 0.15, "a shorter look-ahead, a shorter median filter, or "),
        (("int8", None), {"part": "scenes", "scene_hop": 1}, 0.1, ""),
    ],
)
def test_what_is_tried_for_an_earlier_answer_is_not_there_already(builder, kind, options, limit_s, remedies):
    artifacts = make_stream_set(builder, *kind, **options)
    board = load_target("stm32h743")
    check = audio_latency_s(artifacts.manifest, artifacts.stream_wiring, replace(board, audio_latency_s=limit_s))
    assert not check.ok
    assert check.why.endswith(f". Try {remedies}a target file with the limit that your application has")
    assert "Try" not in audio_latency_s(artifacts.manifest, artifacts.stream_wiring, board).why


def test_scenes_alone(builder, tmp_path):
    made = make_stream_set(builder, "int8", part="scenes")
    artifacts = ArtifactSet.load(made.save(tmp_path / "set"))
    assert artifacts.manifest["latency_s"] == {"scenes": 0.124}
    assert [*artifacts.manifest["buffers"]] == ["ring", "encoder_states"]
    report = emulate_stream_set(artifacts, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    assert report.check("parity_probability") is report.check("events_differ") is None
    # The scenes of the set of both tasks, whose ring is longer.
    joint = make_stream_set(builder, "int8")
    np.testing.assert_array_equal(artifacts.golden["scenes"], joint.golden["scenes"])
    with pytest.raises(ArtifactError, match="event hop of 5 steps") as refused:
        StreamWiring.of(artifacts.wiring, STREAM, ENCODER, event_hop=5)
    assert "no event decoder goes over a ring" in refused.value.hint


@pytest.mark.parametrize("look_ahead", [None, 2])
def test_one_encoder_is_saved_by_hearing_both_tasks_with_it(builder, look_ahead):
    """Of the sets' files, as often as their wirings have each run."""
    both, scenes, events = (
        make_stream_set(builder, "int8", look_ahead, part=part).manifest for part in ("joint", "scenes", "events")
    )
    encoder = both["members"][ENCODER]["macs"] * both["calls_per_second"][ENCODER]
    assert encoder > 0
    assert scenes["macs_per_second"] + events["macs_per_second"] - both["macs_per_second"] == encoder


def test_events_alone(builder):
    artifacts = make_stream_set(builder, "int8", part="events")
    assert "scenes" not in artifacts.manifest["latency_s"]
    report = emulate_stream_set(artifacts, load_target("dcase-asc"), ["litert"])
    assert report.check("parity_lsb") is None
    assert report.check("macs_per_second").value == artifacts.manifest["macs_per_second"]


def test_commands(streams, builder, tmp_path):
    folder = str(streams["int8", None].save(tmp_path / "stream"))
    run = CliRunner().invoke
    written = ["--report", str(tmp_path / "report.json"), "--html", str(tmp_path / "report.html")]
    done = run(group, ["emulate", folder, "--target", "stm32h743", "--engine", "tflm", *written])
    assert done.exit_code == 0, done.output
    for words in (
        "arenas over each other",
        "encoder_states",
        "front end",
        "arena and listener",
        "latency   at most",
        "scenes 0.124 s",
    ):
        assert words in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert all(words in page for words in ("<h2>Memory</h2>", "arena and listener", "scenes 0.124 s"))
    macs = streams["int8", None].manifest["macs_per_second"]
    assert f"{macs:,} MACs for a second of audio" in page
    assert f"{macs:,} MAC/s" in done.stdout
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["artifact"]["latency_s"] == {"scenes": 0.124, "events": 0.344}
    with pytest.raises(ArtifactError, match="hears clips, and no stream"):
        run_stream_set("tflm", make_windowed(builder, "int8"), noise("int8", 8))


def test_wrong_use(streams):
    artifacts, recording = streams["int8", None], noise("int8", 8)
    with pytest.raises(EngineError, match="unknown engine tlfm"):
        run_stream_set("tlfm", artifacts, recording)
    with pytest.raises(ArtifactError, match=r"\[8, 6\] int16 in parts of 8"):
        run_stream_set("tflm", artifacts, recording.astype(np.int16))
    with pytest.raises(ArtifactError, match="in parts of 9 frames"):
        run_stream_set("tflm", artifacts, recording, [9])
    assert FEATURES.mel_bands == BANDS
