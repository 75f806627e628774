"""Clips of other lengths than TAU's second and DESED's ten, from a folder to a device's bundle."""

# What lies between the two ends is in the tests of its own package: alignment, golden recordings, windows.

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import DCASE, ArtifactError, ConversionError, DataError
from keras_mtl.datasets import DataSettings, open_corpus
from keras_mtl.features import event_set, scene_set
from keras_mtl.predictors.opening import data_settings
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Facts, Recurrent, Stream, Wiring
from keras_mtl.tflite.convert.stage import require_ring
from keras_mtl.training import train

SCENE_S, EVENT_S, RATE_HZ = 2.0, 5.0, 16_000
SETTINGS = DataSettings(scene_clip_s=SCENE_S, event_clip_s=EVENT_S)
SETS = (
    f"data.scene_clip_s={SCENE_S}",
    f"data.event_clip_s={EVENT_S}",
    "algorithm=soft",
    "train.epochs=1",
    "scene_batch=4",
    "strong_batch=4",
    "weak_batch=0",
    "unlabelled_batch=0",
    "model.options={channels=[2,4], pools=[[2,8],[2,8]], recurrent_units=4, recurrent_layers=1}",
)


def write_table(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([header, *rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten recordings of 2.5 s as TAU has them, and eight of 6 s as DESED has them."""
    root, noise = tmp_path_factory.mktemp("clips") / "data", np.random.default_rng(2)

    def record(path, seconds):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise.normal(0, 0.1, round(seconds * RATE_HZ)), RATE_HZ)

    tau, desed = root / "TAU-urban-acoustic-scenes-2022-mobile-development", root / "desed"
    names = [f"audio/{scene}-lyon-{number}-0-0-a.wav" for number, scene in enumerate(DCASE.scenes)]
    rows = [(name, scene, f"lyon-{n}", "a") for n, (name, scene) in enumerate(zip(names, DCASE.scenes, strict=True))]
    write_table(tau / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), *rows)
    for split, listed in (("fold1_train", rows[:6]), ("fold1_evaluate", rows[6:])):
        table = tau / "evaluation_setup" / f"{split}.csv"
        write_table(table, ("filename", "scene_label"), *(row[:2] for row in listed))
    write_table(tau / "evaluation_setup/fold1_test.csv", ("filename",), *(row[:1] for row in rows[6:]))
    for name in names:
        record(tau / name, 2.5)
    strong, synthetic = ("filename", "onset", "offset", "event_label"), "synthetic21_train/soundscapes"
    for audio, table, count in (
        (f"dcase_synth/audio/train/{synthetic}", f"dcase_synth/metadata/train/{synthetic}.tsv", 6),
        ("audio/validation/validation", "metadata/validation/validation.tsv", 2),
    ):
        for number in range(count):
            record(desed / audio / f"{number}.wav", 6.0)
        write_table(desed / table, strong, *((f"{n}.wav", 1.0, 5.5, DCASE.events[n]) for n in range(count)))
    durations = ("filename", "duration"), *((f"{n}.wav", 6) for n in range(2))
    write_table(desed / "metadata/validation/validation_durations.tsv", *durations)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_the_same_data_in_clips_of_two_lengths_are_kept_apart(folder, home):
    """In one cache, whichever comes first: neither what TFDS keeps nor the log-mel is that of the other length."""
    features = load_recipe("mt").features
    for settings, seconds, event_s in ((SETTINGS, SCENE_S, EVENT_S), (DataSettings(), 1.0, 10.0)):
        corpus = open_corpus(folder, home / "tfds", progress=False, settings=settings)
        assert scene_set(corpus, "train", features, home).log_mel.shape == (6, 100 * seconds, 128)
        events = event_set(corpus, "validation", features, home)
        assert events.log_mel.shape == (2, 100 * event_s, 128)
        assert {event.offset_s for clip in events.events for event in clip} == {min(event_s, 5.5)}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (None, DataSettings()),
        ({"name": "of before", "fingerprint": "0"}, DataSettings()),
        (
            {"settings": {"scene_clip_s": 2.0, "event_clip_s": 5, "seen_devices": ["a"]}},
            replace(SETTINGS, seen_devices=("a",)),
        ),
        ({"settings": {"event_clip_s": "5"}}, r"data\.settings: event_clip_s = '5' \(it must be a number"),
        ({"settings": 5}, r"data\.settings is not a table"),
        ("mine", "the manifest's data is 'mine', not a table"),
    ],
)
def test_an_artifact_says_of_which_clips_it_is(data, found):
    facts = {} if data is None else {"data": data}
    if isinstance(found, DataSettings):
        assert data_settings(Facts(facts)) == found
        return
    with pytest.raises(ArtifactError, match=found):
        data_settings(Facts(facts))


def test_a_ring_shorter_than_the_median_filter_is_refused():
    stream = Stream(4, 3, 3)
    two_ways = Wiring(recurrent=(Recurrent("f", "b"),), classifiers="c", event_ring=11).streaming(stream)
    causal = Wiring(recurrent=(Recurrent("f"),), classifiers="c").streaming(stream)
    require_ring(two_ways, 0.01, 0.44)
    require_ring(causal, 0.01, 99.0)
    with pytest.raises(ConversionError, match=r"filter of the events, 0\.45 s, is longer than their clips of 0\.44 s"):
        require_ring(two_ways, 0.01, 0.45)


@pytest.mark.slow
def test_they_go_all_the_way(folder, home, tmp_path):
    """Train, quantize, convert, emulate, bundle, predict and evaluate: every length is the recipe's."""

    def done(*arguments):
        found = CliRunner().invoke(cli.group, [*map(str, arguments), "--json"], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    data = ("--data", folder, "--cache", home)
    corpus = open_corpus(folder, home / "tfds", progress=False, settings=SETTINGS)
    run = train(load_recipe("mt", SETS), corpus, tmp_path / "run", home)
    samples = run.samples()
    assert [each.shape[1] for each in (samples.calibration, samples.golden, samples.golden_events)] == [200, 200, 500]
    assert run.info["data"]["settings"] == {"scene_clip_s": SCENE_S, "event_clip_s": EVENT_S}
    quantize = ("quantize", run.path, "--part", "joint", "--scheme", "int8", "--epochs", 0)
    quantized = done(*quantize, "--out", tmp_path / "int8", *data)
    converted = done("convert", tmp_path / "int8", "--part", "joint", "--format", "int8", "--out", tmp_path / "joint")
    manifest = json.loads((tmp_path / "joint" / "artifact.json").read_text())
    assert {task: ring["seconds"] for task, ring in manifest["rings"].items()} == {"scenes": SCENE_S, "events": EVENT_S}
    assert (manifest["rings"]["events"]["hop_steps"], manifest["wiring"]["event_ring"]) == (115, 125)
    assert manifest["data"]["settings"] == run.info["data"]["settings"]
    artifact = ("emulate", tmp_path / "joint", "--target", "stm32h743", "--engine", "tflm")
    assert done(*artifact)["verdict"] == "passed"
    done("bundle", tmp_path / "joint", "--target", "stm32h743", "--out", tmp_path / "firmware")
    assert "    125u, 115u, 5u," in (tmp_path / "firmware" / "listener.c").read_text().splitlines()
    scored = done("evaluate", tmp_path / "joint", "--engine", "tflm", "--resamples", 0, *data)
    for task in ("scenes", "events"):
        assert scored[task]["clips"] == quantized["metrics"]["after"][task]["clips"] == {"scenes": 4, "events": 2}[task]
    assert scored["scenes"]["log_loss"] == pytest.approx(quantized["metrics"]["after"]["scenes"]["log_loss"], abs=0.05)
    recording = tmp_path / "noise.wav"
    soundfile.write(recording, np.random.default_rng(1).normal(0, 0.1, 13 * RATE_HZ), RATE_HZ)
    for model in (run.path, tmp_path / "int8", tmp_path / "joint"):
        (found,) = done("predict", recording, "--model", model, "--scene-window", 3)["files"]
        assert found["duration_s"] == 13.0
        assert found["scenes"][-1]["offset_s"] == 13.0
        # Of whole clips of two seconds, or of a stream when the first of them is over.
        assert all(each["onset_s"] % 2 == 0 for each in found["scenes"]) or model.name == "joint"
        assert found["scenes"][0]["onset_s"] == (0.0 if model.name != "joint" else pytest.approx(2.0, abs=0.01))
    assert converted["macs_per_second"] == manifest["macs_per_second"]
    assert Run.load(tmp_path / "int8").recipe.data == SETTINGS
    with pytest.raises(DataError, match=r"embedded data are clips of 1 s and 10 s"):
        open_corpus("soundscapes:tiny", home / "tfds", settings=SETTINGS)
