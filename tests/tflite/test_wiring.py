"""The wiring of an artifact: who runs when, what is kept between calls, and wirings that are broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.artifact import SCENE_HOP, Recurrent, State, Stream, Wiring

STREAM = Stream(4, 3, 3, (State("conv_1", "state_1", "next_state_1", 2),))
#: Of both decoders, the event decoder bidirectional; of scenes alone; of both, the event decoder causal.
DECODERS = Wiring(
    encoder="n",
    scene_head="s",
    recurrent=(Recurrent("a", "b"), Recurrent("c", "d")),
    classifiers="e",
    shift=7,
    scene_ring=25,
    event_ring=250,
)
JOINT = DECODERS.streaming(STREAM)
SCENES = Wiring(encoder="n", scene_head="s", scene_ring=25).streaming(STREAM)
CAUSAL = replace(
    DECODERS, recurrent=(Recurrent("a"), Recurrent("c")), shift=None, look_ahead=5, event_ring=0
).streaming(STREAM)


@pytest.mark.parametrize("wiring", [JOINT, SCENES, CAUSAL, Wiring()], ids=["joint", "scenes", "causal", "clip"])
def test_wiring_comes_back_from_plain_values(wiring):
    assert Wiring.from_dict(json.loads(json.dumps(wiring.to_dict()))) == wiring
    assert wiring.to_dict()["schedule"] == wiring.schedule.kind == ("stream" if wiring.streams else "clip")


def test_members_stand_in_the_order_in_which_they_run():
    assert JOINT.members == ("n", "s", "a", "b", "c", "d", "e")
    assert SCENES.members == ("n", "s")
    assert CAUSAL.members == ("n", "s", "a", "c", "e")
    assert Wiring().members == ("network",)
    assert (JOINT.causal, SCENES.causal, CAUSAL.causal) == (False, False, True)


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "clip"},
        {"schedule": "windows"},
        {"schedule": None},
        {"stream": None},
        {"recurrent": [{"backward": "a"}]},
        {"recurrent": [{"forward": "a", "backward": ""}]},
        {"recurrent": [{"forward": "", "backward": "b"}]},
        {"recurrent": [{"forward": "a"}, {"forward": "c", "backward": "d"}]},  # forwards only beside bidirectional
        {"recurrent": [{"forward": 1, "backward": 2}]},
        {"recurrent": []},  # classifiers of nothing
        {"recurrent": 3},
        {"classifiers": ""},
        {"look_ahead": 2},  # of a bidirectional decoder
        {"recurrent": [{"forward": "a"}], "event_ring": 0, "look_ahead": -1},
        {"recurrent": [{"forward": "a"}], "event_ring": 0, "look_ahead": 0.5},
        {"recurrent": [], "classifiers": "", "event_ring": 0, "look_ahead": 2},
        {"recurrent": [{"forward": "a"}]},  # a ring of a causal decoder
        {"event_ring": 0},
        {"event_ring": -250},
        {"event_ring": "many"},
        {"scene_ring": 0},
        {"scene_ring": 25.0},
        {"scene_head": ""},
        {"shift": -1},
        {"shift": 0.5},
        {"scene_hop": "5"},
        {"event_hop": True},
        {"encoder": 5},
        {"unknown": 1},
    ],
    ids=str,
)
def test_broken_wiring_is_refused(change):
    with pytest.raises(ArtifactError, match="wiring of the artifact can't be read"):
        Wiring.from_dict(JOINT.to_dict() | change)


@pytest.mark.parametrize("lacking", ["schedule", "recurrent", "stream"])
def test_wiring_that_lacks_a_key_is_refused(lacking):
    values = JOINT.to_dict()
    del values[lacking]
    with pytest.raises(ArtifactError, match="wiring of the artifact can't be read"):
        Wiring.from_dict(values)


@pytest.mark.parametrize("values", [None, 3, [], "wiring", {}], ids=str)
def test_what_is_no_wiring_is_refused(values):
    with pytest.raises(ArtifactError, match="wiring of the artifact can't be read"):
        Wiring.from_dict(values)


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 0},
        {"stride": 4.0},
        {"latency": -1},
        {"warm_up": None},
        {"states": 3},
        {"states": [{"layer": "conv_1", "taken": "state_1", "given": "next_state_1"}]},
        {"states": [{"layer": "conv_1", "taken": 1, "given": "next_state_1", "frames": 2}]},
    ],
    ids=str,
)
def test_broken_schedule_is_refused(change):
    with pytest.raises(ArtifactError, match="schedule of the stream can't be read"):
        Wiring.from_dict(JOINT.to_dict() | {"stream": STREAM.to_dict() | change})


@pytest.mark.parametrize(
    ("wiring", "hops", "hint"),
    [
        (JOINT, {"event_hop": 251}, "events: 1 to 250"),
        (JOINT, {"event_hop": 0}, "events: 1 to 250"),
        (JOINT, {"scene_hop": 0}, "scenes: 1 or more steps"),
        (SCENES, {"event_hop": 5}, "no event decoder goes over a ring"),
        (CAUSAL, {"event_hop": 2}, "no event decoder goes over a ring"),
    ],
    ids=str,
)
def test_hops_that_are_no_steps_or_longer_than_the_ring_are_refused(wiring, hops, hint):
    for make in (lambda: wiring.streaming(STREAM, **hops), lambda: Wiring.from_dict(wiring.to_dict() | hops)):
        with pytest.raises(ArtifactError, match=r"a scene hop of \d+ and an event hop of \d+ steps") as refused:
            make()
        assert hint in refused.value.hint


def test_hops_by_default():
    assert (JOINT.stream.scene_hop, JOINT.stream.event_hop) == (SCENE_HOP, 230)
    assert JOINT.kept() == {"kept_from": 10, "kept_to": 240}
    assert (CAUSAL.stream.scene_hop, CAUSAL.stream.event_hop) == (SCENE_HOP, 1)


def test_an_artifact_that_takes_clips_has_no_stream():
    with pytest.raises(ArtifactError, match="takes clips, and no stream") as refused:
        _ = Wiring().stream
    assert "--schedule stream" in refused.value.hint


def test_calls_of_a_second():
    # 100 frames a second are 25 steps; the event decoder reads each embedding 250/230 times.
    calls = JOINT.calls_per_second(100.0)
    assert (calls["n"], calls["s"], calls["e"]) == (25.0, 5.0, 25.0)
    assert [calls[name] for name in "abcd"] == pytest.approx([25 * 250 / 230] * 4)
    assert CAUSAL.calls_per_second(100.0) == {"n": 25.0, "s": 5.0, "a": 25.0, "c": 25.0, "e": 25.0}
    assert Wiring().calls_per_second(0.0, audio_seconds=10.0) == {"network": 0.1}


def test_what_is_kept_between_calls():
    # 250 embeddings of 224 bytes; both directions of the first layer, the backward one of the last.
    kept = JOINT.buffer_bytes(embedding_bytes=224, state_bytes=256)
    assert kept == {"ring": 56_000, "states_1": 128_000, "states_2": 64_000, "running_states": 512}
    assert SCENES.buffer_bytes(224, 256) == {"ring": 5_600}
    assert CAUSAL.buffer_bytes(224, 256) == {"ring": 5_600, "running_states": 512}
    # Without the scenes a causal decoder needs the newest embedding alone.
    assert replace(CAUSAL, scene_head="", scene_ring=0).buffer_bytes(224, 256)["ring"] == 224
    assert Wiring().buffer_bytes(224, 256) == {}


def test_steps_that_a_sound_waits():
    # The encoder is 3 steps late; 240 of a ring's 250 embeddings are kept or later ones.
    assert JOINT.latency_steps() == {"scenes": 5 + 3, "events": 240 + 3}
    assert SCENES.latency_steps() == {"scenes": 5 + 3}
    assert CAUSAL.latency_steps() == {"scenes": 5 + 3, "events": 1 + 5 + 3}


@given(ring=st.integers(1, 40), hop=st.integers(1, 40), embeddings=st.integers(0, 150))
def test_passes_give_every_embedding_once_and_in_order(ring, hop, embeddings):
    hop = 1 + (hop - 1) % ring
    wiring = replace(DECODERS, event_ring=ring).streaming(STREAM, event_hop=hop)
    passes = list(wiring.event_passes(embeddings))
    assert [k for each in passes for k in range(each.kept_from, each.kept_to)] == list(range(embeddings))
    for each in passes:
        assert 0 <= each.first <= each.kept_from < each.kept_to <= each.last <= embeddings
        assert each.last - each.first == min(ring, embeddings)
    # All but the first and the last one keep the same part of a full ring.
    for each in passes[1:-1]:
        kept = {"kept_from": each.kept_from - each.first, "kept_to": each.kept_to - each.first}
        assert kept == wiring.kept()


@given(ring=st.integers(1, 20), hop=st.integers(1, 40), embeddings=st.integers(0, 100))
def test_scene_decoder_runs_every_hop_from_a_full_ring_on(ring, hop, embeddings):
    wiring = replace(SCENES, scene_ring=ring).streaming(STREAM, scene_hop=hop)
    assert wiring.scene_calls(embeddings) == [
        number for number in range(1, embeddings + 1) if number >= ring and (number - ring) % hop == 0
    ]


def test_no_passes_without_a_ring():
    assert list(CAUSAL.event_passes(100)) == list(SCENES.event_passes(100)) == []
    assert replace(CAUSAL, scene_head="", scene_ring=0).scene_calls(100) == []
