"""The wiring of a set: windows that cover a clip once, what is kept between calls, and manifests that are broken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_mtl.errors import ArtifactError
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

WIRING = Wiring(
    Windows(100, 4, 3, 22),
    clip_frames=1000,
    recurrent=(Recurrent("a", "b"), Recurrent("c", "d")),
    shift=7,
    classifiers="e",
    scene_head="s",
)


@given(
    stride=st.integers(1, 5),
    embeddings=st.integers(1, 30),
    edges=st.tuples(st.integers(0, 30), st.integers(1, 30)),
    more=st.integers(0, 200),
)
def test_windows_keep_every_embedding_once_and_in_order(stride, embeddings, edges, more):
    first, last = edges[0] % embeddings, 0
    last = first + 1 + edges[1] % (embeddings - first)
    windows, clip = Windows(embeddings * stride, stride, first, last), (embeddings + more) * stride
    kept = []
    for start, begin, end in windows.over(clip):
        assert start % stride == 0
        assert 0 <= start <= clip - windows.frames
        # Only at the clip's own ends is a border of the window no border of its field of view.
        assert begin >= first or start == 0
        assert end <= last or start + windows.frames == clip
        kept += [start // stride + k for k in range(begin, end)]
    assert kept == list(range(clip // stride))


def test_wiring_comes_back_from_plain_values():
    assert Wiring.from_dict(WIRING.to_dict()) == WIRING
    assert WIRING.members == ("encoder", "s", "a", "b", "c", "d", "e")
    assert WIRING.steps == 250


@pytest.mark.parametrize(
    "change",
    [
        {"windows": {"frames": 100, "stride": 0, "first": 3, "last": 22}},
        {"windows": {"frames": 100, "stride": 4, "first": 22, "last": 22}},
        {"windows": {"frames": 100, "stride": 4, "first": 3, "last": 26}},
        {"windows": None},
        {"recurrent": [{"backward": "a"}]},
        {"recurrent": [{"forward": "a"}, {"forward": "c", "backward": "d"}]},  # forwards only beside bidirectional
        {"look_ahead": 2},  # of a bidirectional decoder
        {"recurrent": [{"forward": "a"}], "look_ahead": -1},
        {"recurrent": [{"forward": "a"}], "look_ahead": 0.5},
        {"recurrent": [], "look_ahead": 2},
        {"recurrent": 3},
        {"clip_frames": "many"},
        {"clip_frames": 50},
        {"clip_frames": 1002},
        {"encoder": 5},
        {"unknown": 1},
    ],
    ids=str,
)
def test_broken_wiring_is_refused(change):
    with pytest.raises(ArtifactError, match="wiring"):
        Wiring.from_dict(WIRING.to_dict() | change)


def test_calls_and_buffers():
    calls = WIRING.calls_per_second(100.0)
    assert calls["encoder"] == calls["s"] == pytest.approx(100 / 76)
    assert calls["a"] == calls["e"] == 25.0
    # 250 embeddings of 224 bytes; both directions of the first layer, the backward one of the last.
    kept = WIRING.buffer_bytes(embedding_bytes=224, state_bytes=256)
    assert kept == {"embeddings": 56_000, "states_1": 128_000, "states_2": 64_000, "running_states": 512}


def test_a_causal_wiring_keeps_a_window_and_the_states():
    causal = replace(WIRING, recurrent=(Recurrent("a"), Recurrent("c")), look_ahead=5)
    assert causal.causal
    assert not WIRING.causal
    assert Wiring.from_dict(causal.to_dict()) == causal
    assert causal.members == ("encoder", "s", "a", "c", "e")
    assert causal.buffer_bytes(embedding_bytes=224, state_bytes=256) == {"embeddings": 5_600, "running_states": 512}
    assert not Wiring(Windows(100, 4, 3, 22)).causal


def test_a_wiring_from_before_there_were_causal_ones_is_bidirectional():
    written = WIRING.to_dict()
    del written["look_ahead"]
    assert Wiring.from_dict(written) == WIRING
