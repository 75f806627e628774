"""The event decoder: the same events from a whole clip and from a stream, in memory that does not grow."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays

from keras_mtl.core import ArtifactError, RecipeError
from keras_mtl.decoding import (
    Change,
    DecodeSettings,
    Event,
    EventDecoder,
    Grid,
    SceneSmoother,
    auto_medians,
    begin_delay_steps,
    decode,
    decoder_numbers,
    events_of,
)

STEP_S, CLASSES = 0.04, 3
LABELS = [str(label) for label in range(CLASSES)]
# Multiples of 1/64: their sums are exact, so that scores are the same however they are added.
PROBABILITIES = arrays.arrays(
    np.float32,
    strategies.tuples(strategies.integers(0, 60), strategies.just(CLASSES)),
    elements=strategies.integers(0, 64).map(lambda value: value / 64),
)


@strategies.composite
def one_for_all(draw: strategies.DrawFn) -> DecodeSettings:
    threshold = draw(strategies.integers(0, 64))
    hysteresis = draw(strategies.integers(0, threshold))
    median = draw(strategies.sampled_from([1, 3, 5, 11, 41]))
    return DecodeSettings(threshold / 64, median * STEP_S, hysteresis / 64)


@strategies.composite
def of_classes(draw: strategies.DrawFn) -> DecodeSettings:
    """Other settings for each class."""
    classes = {}
    for label in LABELS:
        shortest, gap = draw(strategies.integers(0, 6)), draw(strategies.integers(0, 6))
        own = draw(one_for_all())
        keys = {key: getattr(own, key) for key in ("threshold", "hysteresis", "median_s")}
        classes[label] = {**keys, "shortest_s": shortest * STEP_S, "gap_s": gap * STEP_S}
    return DecodeSettings(classes=classes)


def filtered_runs(probabilities: np.ndarray, settings: DecodeSettings) -> list[tuple[int, int, int, float]]:
    """One setting for all classes, without a shortest and a gap: (onset, offset, class, mean score), with loops."""
    half, found = round(settings.median_s / STEP_S) // 2, []
    for label in range(probabilities.shape[1]):
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


def joined_runs(probabilities: np.ndarray, settings: DecodeSettings) -> list[tuple[int, int, int, float]]:
    """Class by class: runs with a short pause between them are joined, then short ones dropped."""
    found = []
    for label, name in enumerate(LABELS):
        own, joined = settings.of(name), []
        half = round(own.median_s / STEP_S) // 2
        column = [0.0] * half + probabilities[:, label].tolist() + [0.0] * half
        filtered = [sorted(column[step : step + 2 * half + 1])[half] for step in range(len(probabilities))]
        for onset, offset, *_ in filtered_runs(probabilities[:, label : label + 1], own):
            if joined and onset - joined[-1][1] <= round(own.gap_s / STEP_S):
                joined[-1][1] = offset
            else:
                joined.append([onset, offset])
        for onset, offset in joined:
            if offset - onset >= round(own.shortest_s / STEP_S):
                found.append((onset, offset, label, sum(filtered[onset:offset]) / (offset - onset)))
    return sorted(found)


@given(PROBABILITIES, one_for_all())
def test_one_setting_for_all_gives_the_events_of_the_filtered_runs(
    probabilities: np.ndarray, settings: DecodeSettings
) -> None:
    grid = Grid(STEP_S, 0.0, len(probabilities), len(probabilities) * STEP_S)
    edges = grid.boundaries_s()
    runs = filtered_runs(probabilities, settings)
    expected = sorted(((edges[a], edges[b], LABELS[label]), score) for a, b, label, score in runs)
    assert decode(probabilities, grid, LABELS, settings) == expected


@given(PROBABILITIES, of_classes(), strategies.lists(strategies.integers(0, 60)))
def test_whole_clip_and_stream_give_the_events_of_the_definition(
    probabilities: np.ndarray, settings: DecodeSettings, cuts: list[int]
) -> None:
    grid = Grid(STEP_S, 0.0, len(probabilities), len(probabilities) * STEP_S)
    edges = grid.boundaries_s()
    expected = [
        ((edges[a], edges[b], LABELS[label]), score) for a, b, label, score in joined_runs(probabilities, settings)
    ]
    assert decode(probabilities, grid, LABELS, settings) == sorted(expected)
    decoder = EventDecoder(CLASSES, **decoder_numbers(settings, LABELS, STEP_S))
    whole = [*decoder.push(probabilities), *decoder.finish()]
    borders = [0, *sorted(min(cut, len(probabilities)) for cut in cuts), len(probabilities)]
    for _ in range(2):  # after the end it begins anew
        changes = [change for a, b in itertools.pairwise(borders) for change in decoder.push(probabilities[a:b])]
        changes += decoder.finish()
        assert changes == whole
        assert events_of(changes, grid, LABELS) == sorted(expected)
    begins = {(change.onset, change.label) for change in whole if not change.ended}
    assert begins == {(change.onset, change.label) for change in whole if change.ended}


def test_the_state_does_not_grow_in_a_day() -> None:
    settings = DecodeSettings(hysteresis=0.2, gap_s=0.1, classes={"1": {"median_s": 1.0, "shortest_s": 0.5}})
    decoder = EventDecoder(2, **decoder_numbers(settings, LABELS[:2], STEP_S))
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


def test_pauses_are_joined_before_short_events_are_dropped() -> None:
    """By hand: a is joined and then long enough, b is too short; the mean goes over the pause."""
    loud = np.array([0.0, 0.75, 0.25, 0.75, 0.0, 0.0, 0.0, 0.75, 0.0])
    settings = DecodeSettings(0.5, 0.0, shortest_s=3.0, classes={"a": {"gap_s": 1.0}})
    grid, probabilities = Grid(1.0, 0.0, 9, 9.0), np.stack([loud, loud], axis=1)
    ((event, score),) = decode(probabilities, grid, ["a", "b"], settings)
    assert (event, score) == ((1.0, 4.0, "a"), 1.75 / 3)
    decoder, told = EventDecoder(2, **decoder_numbers(settings, ["a", "b"], 1.0)), {}
    for step, row in enumerate(probabilities):
        told |= dict.fromkeys(decoder.push(row[None]), step)
    # The begin when it has lasted for three steps, the end with the second step of the pause.
    assert told == {Change(1, 0, 0, 0, False): 3, Change(1, 4, 0, 1.75, True): 5}


def test_shortest_and_gap_in_steps_and_what_a_begin_waits_for() -> None:
    """0.12 s are three steps of 0.04 s although the quotient is not; between steps, the stricter reading counts."""
    classes = {"a": {"shortest_s": 0.12, "gap_s": 0.12}, "b": {"shortest_s": 0.13, "gap_s": 0.13, "median_s": 0.12}}
    numbers = decoder_numbers(DecodeSettings(0.5, 0.45, classes=classes), ["a", "b", "c"], STEP_S)
    assert (numbers["median"], numbers["shortest"], numbers["gap"]) == ((11, 3, 11), (3, 4, 0), (3, 3, 0))
    assert begin_delay_steps(numbers) == 5 + 2 + 3
    assert begin_delay_steps(decoder_numbers(DecodeSettings(gap_s=9.0), ["a"], STEP_S)) == 5, "no begin waits for a gap"


def test_median_filters_of_a_third_of_the_median_event() -> None:
    clips = [
        [Event(0.0, 0.3, "a"), Event(1.0, 1.6, "a"), Event(0.0, 10.0, "b")],
        [Event(2.0, 5.0, "a"), Event(0.5, 1.0, "b")],
        [],
    ]
    medians = auto_medians(clips, ["a", "b", "c"])
    assert medians == {"a": 0.2, "b": 1.75, "c": 0.45}
    settings = DecodeSettings(median_s="auto", classes={"b": {"median_s": 0.1}, "c": {"gap_s": 1.0}})
    resolved = settings.resolved(medians)
    assert resolved.classes == {"a": {"median_s": 0.2}, "b": {"median_s": 0.1}, "c": {"gap_s": 1.0, "median_s": 0.45}}
    assert (resolved.median_s, resolved.longest_median_s("abc")) == (0.45, 0.45)
    assert DecodeSettings(classes={"a": {"median_s": "auto"}}).resolved(medians).classes == {"a": {"median_s": 0.2}}
    assert resolved.resolved({"a": 9.0}) == resolved
    assert (resolved.asked, resolved.resolved({"a": 9.0}).asked) == (settings, settings)
    assert settings.asked is settings
    with pytest.raises(RecipeError, match=r"decode\.median_s of 'a' is 'auto'"):
        decoder_numbers(settings, ["a", "b", "c"], STEP_S)


def test_decoders_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="median filter of 4 steps: the length must be odd"):
        EventDecoder(1, 4, 0.5)
    with pytest.raises(ValueError, match=r"end above 0.6 but begin above 0.5 only"):
        EventDecoder(2, 3, 0.5, (0.5, 0.6))
    with pytest.raises(ValueError, match="shape"):
        EventDecoder(3, (3, 5), 0.5)
    with pytest.raises(ValueError, match="hold 0 at least 1"):
        SceneSmoother(3, weight=0.3, hold=0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("median_s", float("inf")),
        ("median_s", "automatic"),
        ("shortest_s", -0.1),
        ("gap_s", True),
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


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"door knock": {"threshold": 1.5}}, "decode.classes.'door knock'.threshold = 1.5 is out of range (0 to 1)"),
        ({"a": {"threshold": 0.1}}, "decode.classes.'a'.hysteresis = 0.2 is out of range (0 to 0.1)"),
        ({"a": {"shortest_s": "1"}}, "decode.classes.'a'.shortest_s = 1 is out of range (0 to inf)"),
        ({"a": {"gap_s": -1}}, "decode.classes.'a'.gap_s = -1 is out of range (0 to inf)"),
        ({"a": {"median_s": None}}, "decode.classes.'a'.median_s = None is out of range (0 to inf, or auto)"),
        ({"a": {"thresold": 0.5}}, "decode.classes.'a': no key 'thresold' (did you mean threshold?)"),
        ({"a\nb": {"scene_weight": 0.5}}, "decode.classes.'a\\nb': no key 'scene_weight'"),
        ({"a": 0.5}, "decode.classes.'a' = '0.5' is no table"),
        (["a"], "decode.classes = ['a'] is no table"),
    ],
)
def test_settings_of_a_class_are_refused_by_class_and_key(classes: dict, words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        DecodeSettings(hysteresis=0.2, classes=classes)
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)
    with pytest.raises(ArtifactError) as refused:
        DecodeSettings.from_manifest({"decoding": {"hysteresis": 0.2, "classes": classes}})
    assert str(refused.value).startswith(f"the manifest's {words.partition(' (')[0]}")


def test_classes_that_are_not_there_are_refused() -> None:
    settings = DecodeSettings(classes={"Dogs": {"threshold": 0.3}})
    with pytest.raises(RecipeError, match=r"'Dogs' is no class of the events \(did you mean Dog\?\)"):
        decoder_numbers(settings, ["Cat", "Dog"], STEP_S)
    with pytest.raises(RecipeError, match=r"'Dogs' is no class of the events \(there are no classes of events\)"):
        settings.require_classes(())


def test_settings_of_manifests_new_and_old() -> None:
    assert DecodeSettings.from_manifest({}) == DecodeSettings()
    assert DecodeSettings.from_manifest({"decoding": {"threshold": 0.4, "median_s": 1}}) == DecodeSettings(0.4, 1)
    for wrong in ({"decoding": 3}, {"decoding": {"thresold": 0.5}}):
        with pytest.raises(ArtifactError, match="decoding can't be used"):
            DecodeSettings.from_manifest(wrong)
    settings = DecodeSettings(0.4, gap_s=0.1, classes={"a": {"median_s": 0.2}})
    assert DecodeSettings.from_manifest(json.loads(json.dumps({"decoding": asdict(settings)}))) == settings
    for auto in ({"median_s": "auto"}, {"classes": {"a": {"median_s": "auto"}}}):
        with pytest.raises(ArtifactError, match=r"the manifest's decode\.median_s of .* is 'auto'"):
            DecodeSettings.from_manifest({"decoding": auto})
