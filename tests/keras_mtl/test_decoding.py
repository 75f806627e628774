"""The event decoder: the same events from a whole clip and from a stream, in memory that does not grow."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays

from keras_mtl.core import ArtifactError, RecipeError
from keras_mtl.decoding import DecodeSettings, EventDecoder, Grid, SceneSmoother, decode, decoder_numbers, events_of

STEP_S, CLASSES = 0.04, 3
LABELS = [str(label) for label in range(CLASSES)]
# Multiples of 1/64: their sums are exact, so that scores are the same however they are added.
PROBABILITIES = arrays.arrays(
    np.float32,
    strategies.tuples(strategies.integers(0, 60), strategies.just(CLASSES)),
    elements=strategies.integers(0, 64).map(lambda value: value / 64),
)


@strategies.composite
def settings_of(draw: strategies.DrawFn) -> DecodeSettings:
    threshold = draw(strategies.integers(0, 64))
    hysteresis = draw(strategies.integers(0, threshold))
    median = draw(strategies.sampled_from([1, 3, 5, 11, 41]))
    return DecodeSettings(threshold / 64, median * STEP_S, hysteresis / 64)


def step_by_step(probabilities: np.ndarray, settings: DecodeSettings) -> list[tuple[int, int, int, float]]:
    """As the definition says: (onset, offset, class, mean score), with loops."""
    half, found = round(settings.median_s / STEP_S) // 2, []
    for label in range(CLASSES):
        column = [0.0] * half + probabilities[:, label].tolist() + [0.0] * half
        filtered = [sorted(column[step : step + 2 * half + 1])[half] for step in range(len(probabilities))]
        onset = None
        for step, score in enumerate([*filtered, -1.0]):
            least = settings.threshold if onset is None else settings.threshold - settings.hysteresis
            if score > least and onset is None:
                onset = step
            elif score <= least and onset is not None:
                found.append((onset, step, label, sum(filtered[onset:step]) / (step - onset)))
                onset = None
    return sorted(found)


@given(PROBABILITIES, settings_of(), strategies.lists(strategies.integers(0, 60)))
def test_whole_clip_and_stream_give_the_events_of_the_definition(
    probabilities: np.ndarray, settings: DecodeSettings, cuts: list[int]
) -> None:
    grid = Grid(STEP_S, 0.0, len(probabilities), len(probabilities) * STEP_S)
    edges = grid.boundaries_s()
    expected = [
        ((edges[a], edges[b], LABELS[label]), score) for a, b, label, score in step_by_step(probabilities, settings)
    ]
    assert decode(probabilities, grid, LABELS, settings) == sorted(expected)
    decoder = EventDecoder(CLASSES, **decoder_numbers(settings, STEP_S))
    borders = [0, *sorted(min(cut, len(probabilities)) for cut in cuts), len(probabilities)]
    for _ in range(2):  # after the end it begins anew
        changes = [change for a, b in itertools.pairwise(borders) for change in decoder.push(probabilities[a:b])]
        assert events_of([*changes, *decoder.finish()], grid, LABELS) == sorted(expected)


def test_the_state_does_not_grow_in_a_day() -> None:
    decoder = EventDecoder(2, **decoder_numbers(DecodeSettings(hysteresis=0.2), STEP_S))
    block = np.random.default_rng(0).random((300, 2), np.float32).repeat(25, axis=0)  # five minutes
    sizes, events = [], 0
    for _ in range(24 * 12):
        events += sum(change.ended for change in decoder.push(block))
        sizes.append(len(pickle.dumps(decoder)))
    assert events > 24 * 12
    assert max(sizes) - min(sizes) < 1_000


def test_hysteresis_joins_what_one_threshold_cuts() -> None:
    probabilities = np.array([0.2, 0.7, 0.4, 0.7, 0.4, 0.2, 0.4, 0.7], np.float32)[:, None]
    grid = Grid(1.0, 0.0, 8, 8.0)
    events = {
        hysteresis: [event[:2] for event, _ in decode(probabilities, grid, ["a"], DecodeSettings(0.5, 1.0, hysteresis))]
        for hysteresis in (0.0, 0.2)
    }
    assert events == {0.0: [(1, 2), (3, 4), (7, 8)], 0.2: [(1, 5), (7, 8)]}


def test_decoders_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="median filter of 4 steps: the length must be odd"):
        EventDecoder(1, 4, 0.5)
    with pytest.raises(ValueError, match=r"end above 0.6 but begin above 0.5 only"):
        EventDecoder(1, 3, 0.5, 0.6)
    with pytest.raises(ValueError, match="hold 0 at least 1"):
        SceneSmoother(3, weight=0.3, hold=0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("median_s", float("inf")),
        ("hysteresis", 0.6),
        ("scene_weight", 0.0),
        ("scene_weight", float("nan")),
        ("scene_hold_calls", 0),
        ("scene_hold_calls", 65_536),
        ("scene_hold_calls", 2.0),
    ],
)
def test_settings_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"decode.{key} = .* is out of range"):
        DecodeSettings(**{key: value})
    with pytest.raises(ArtifactError, match=f"the manifest's decode.{key} = .* is out of range"):
        DecodeSettings.from_manifest({"decoding": {key: value}})


def test_settings_of_manifests_new_and_old() -> None:
    assert DecodeSettings.from_manifest({}) == DecodeSettings()
    assert DecodeSettings.from_manifest({"decoding": {"threshold": 0.4, "median_s": 1}}) == DecodeSettings(0.4, 1)
    for wrong in ({"decoding": 3}, {"decoding": {"thresold": 0.5}}):
        with pytest.raises(ArtifactError, match="decoding can't be used"):
            DecodeSettings.from_manifest(wrong)
