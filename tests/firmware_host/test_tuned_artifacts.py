"""Operating points of an artifact: they travel with it, to streams, to the engines, and into a bundle's numbers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from small_artifacts import FEATURES, make_two_state

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError
from keras_mtl.decoding import DecodeSettings, EventDecoder, decode, decoder_numbers
from keras_mtl.firmware_host.bundle.golden.chain import event_numbers
from keras_mtl.firmware_host.engines import run
from keras_mtl.predictors import Tunable, ambient_tracks, false_alarms, predict_stream
from keras_mtl.tflite.artifact import Artifact

OPTIONS = ("decode.classes.bark.threshold=0.49", "decode.classes.bell={threshold=0.51, hysteresis=0.02, median_s=0.1}")
SECONDS = 7


@pytest.fixture
def folder(builder, tmp_path: Path) -> Path:
    return make_two_state(builder, "int8").save(tmp_path / "artifact")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    generator = np.random.default_rng(3)
    time_s = np.arange(SECONDS * FEATURES.sample_rate_hz) / FEATURES.sample_rate_hz
    made = np.zeros(len(time_s))
    for hz in (200, 700, 1500, 2500, 4000, 6500):
        loud = (generator.uniform(size=28) < 0.5) * 10.0 ** generator.uniform(-4.5, -1.5, 28)
        made += np.repeat(loud, len(time_s) // 28) * np.sin(2 * np.pi * hz * time_s)
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "a.wav", made, FEATURES.sample_rate_hz)
    return tmp_path / "sounds" / "a.wav"


def tuned(path: Path, *more: object) -> dict:
    words = ["tune", path, *(word for option in OPTIONS for word in ("--set", option)), *more, "--json"]
    done = CliRunner().invoke(group, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_settings_travel_with_a_streaming_artifact(folder: Path, sound: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    copy = tmp_path / "tuned"
    tuned(folder, "--out", copy)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    tuned(folder, "--write")
    once = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert [name for name in once if once[name] != before[name]] == ["artifact.json"]
    tuned(folder, "--write")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == once
    artifact = Artifact.load(folder)
    assert artifact.manifest == Artifact.load(copy).manifest
    assert artifact.facts.decoding.of("bell").median_s == 0.1
    assert artifact.facts.get("tuning")["decode_before"]["classes"] == {}
    assert Tunable.open(folder).untuned == make_decoding()
    # What a bundle's C gets, and what an engine's stream gives, decode as Python does.
    recording = artifact.golden.inputs["recording"]
    found = run("tflm", artifact, {"recording": recording}).outputs
    numbers = decoder_numbers(artifact.facts.decoding, ("bark", "bell"), artifact.step_s)
    decoders = [EventDecoder(2, **numbers), EventDecoder(2, **event_numbers(artifact))]
    changes = [
        [change[:3] for change in (*decoder.push(values), *decoder.finish())]
        for decoder, values in zip(decoders, (found["strong"], found["integers"]), strict=True)
    ]
    assert changes[0] == changes[1] != []
    plain = EventDecoder(2, **decoder_numbers(make_decoding(), ("bark", "bell"), artifact.step_s))
    assert [change[:3] for change in (*plain.push(found["strong"]), *plain.finish())] != changes[0]
    streamed = predict_stream(artifact, sound, engine="tflm", picture=False).events
    tracks = ambient_tracks(artifact, sound.parent, "tflm")
    (strong,), (grid,) = tracks.probabilities, tracks.grids
    at_once = [event for event, _ in decode(strong, grid, ("bark", "bell"), artifact.facts.decoding)]
    sides = [inner(at_once), inner([event for event, _ in streamed])]
    assert sides[0] == sides[1] != []
    assert sum(len(tracks.decode(label, artifact.facts.decoding.of(label))[0]) for label in ("bark", "bell")) == len(
        at_once
    )
    figures = false_alarms(artifact, sound.parent, "tflm")
    assert figures["hours"] == pytest.approx(SECONDS / 3600)
    counts = {label: sum(event.label == label for event, _ in streamed) for label in ("bark", "bell")}
    assert {label: each["false_alarms"] for label, each in figures["classes"].items()} == counts


def inner(events: list) -> list[tuple[float, float, str]]:
    """Events before the end, where what follows the recording counts."""
    return [(round(e.onset_s, 3), round(e.offset_s, 3), e.label) for e in events if e.offset_s < SECONDS - 0.5]


def make_decoding() -> DecodeSettings:
    return DecodeSettings(0.5, 0.06, scene_weight=0.3, scene_hold_calls=2)


def test_settings_of_one_file_are_embedded_anew(make_artifact, tmp_path: Path) -> None:
    artifact = make_artifact("float32")
    path = artifact.save(tmp_path / "scenes.tflite")
    made = artifact.with_facts({"decoding": asdict(DecodeSettings(0.4)), "tuning": {"by": "f1"}})
    made.save_facts(path)
    found = Artifact.load(path)
    assert found.facts.decoding.threshold == Artifact.of(path.read_bytes()).facts.decoding.threshold == 0.4
    assert found.sha256 != artifact.sha256
    assert found.golden is not None
    assert Artifact.of(path.read_bytes()).facts.get("tuning") is None, "a device has no use for it"
    assert found.facts.get("tuning") == {"by": "f1"}


def test_an_artifact_that_does_not_say_what_was_held_out(folder: Path, make_artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not say what its training held out"):
        Tunable.open(folder)._split()
    scenes = make_artifact("int8").save(tmp_path / "scenes.tflite")
    with pytest.raises(ArtifactError, match="has no events"):
        Tunable.open(scenes)
