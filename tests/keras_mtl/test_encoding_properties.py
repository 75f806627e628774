"""Whatever the events and the grid: encoding them and decoding the result gives them back within one frame.

Frames are a step long, but for the last one, which reaches to the end of the clip.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode

#: Strides of the encoders that there are, and others.
_GRIDS = st.builds(
    lambda frames, stride, hop: Grid.over(LogMelSettings(hop=hop), frames, stride),
    frames=st.integers(100, 1000),
    stride=st.sampled_from([1, 2, 4, 8, 16]),
    hop=st.sampled_from([160, 256]),
)


@st.composite
def _events_on_a_grid(draw) -> tuple[Grid, list[Event]]:
    """Events of some classes; those of one class lie two steps apart at least, so that they stay apart on the grid."""
    grid = draw(_GRIDS)
    events = []
    for label in draw(st.lists(st.sampled_from(DCASE.events), max_size=4, unique=True)):
        begin_s = 0.0
        for _ in range(draw(st.integers(0, 3))):
            onset_s = begin_s + draw(st.floats(0.0, grid.duration_s / 2))
            offset_s = min(onset_s + draw(st.floats(0.001, grid.duration_s)), grid.duration_s)
            if offset_s - onset_s < 0.001:
                break
            events.append(Event(onset_s, offset_s, label))
            begin_s = offset_s + 2 * grid.step_s
    return grid, events


@given(_events_on_a_grid())
def test_encoded_events_decode_to_themselves_within_one_frame(case: tuple[Grid, list[Event]]) -> None:
    grid, events = case
    targets = grid.targets(events, DCASE.events)
    assert targets.shape == (grid.count, len(DCASE.events))
    decoded = [
        event for event, score in decode(targets, grid, DCASE.events, DecodeSettings(median_s=0.0)) if score == 1.0
    ]
    by_class = sorted(events, key=lambda event: (event.label, event.onset_s))
    found = sorted(decoded, key=lambda event: (event.label, event.onset_s))
    assert [event.label for event in found] == [event.label for event in by_class]
    last_s, end_s = grid.boundaries_s()[-2:]
    for one, other in zip(found, by_class, strict=True):
        for is_s, was_s in ((one.onset_s, other.onset_s), (one.offset_s, other.offset_s)):
            frame_s = end_s - last_s if was_s >= last_s else grid.step_s
            assert abs(is_s - was_s) <= frame_s + 1e-9


@given(_events_on_a_grid())
def test_decoded_events_encode_to_the_same_targets(case: tuple[Grid, list[Event]]) -> None:
    """What came from the grid goes back to the same places on it."""
    grid, events = case
    targets = grid.targets(events, DCASE.events)
    again = grid.targets(
        [event for event, _ in decode(targets, grid, DCASE.events, DecodeSettings(median_s=0.0))], DCASE.events
    )
    assert (again == targets).all()
