"""Recordings longer than a window: constant memory, no seams, and what is given for programs.

The networks are real ones with weights set by hand: an embedding is loud where the frames in its middle are.
"""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import DCASE, DataError, LogMelSettings
from keras_mtl.datasets import DataSettings
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode
from keras_mtl.features import LogMel, LogMelStream
from keras_mtl.inference import MOST_ROWS, Overview, Prediction, Predictor, network_predictor, predict, run_predictor
from keras_mtl.inference import formats as prediction_formats
from keras_mtl.inference.windows import WindowMean, WindowPlan
from keras_mtl.plots import plot_timeline

RATE = 16_000
SETTINGS = LogMelSettings(mean_db=-17.0, std_db=10.0)
# Hears recordings of so many minutes one after the other, and prints the most memory used after each, in MB.
_MEMORY = """
import json, sys
from pathlib import Path
import numpy as np, soundfile
from keras_mtl.core import LogMelSettings
from keras_mtl.inference import Predictor
from keras_mtl.inference import predict

def scene_logits(levels):
    return levels.mean(axis=1)[:, :10]

def event_probabilities(levels):
    strong = 1 / (1 + np.exp(-levels[:, ::4].mean(axis=2, keepdims=True) / 10))
    return np.repeat(strong, 10, axis=2).astype(np.float32), None

def most_used():
    # Not ru_maxrss: that of a new process begins with what the one had that started it.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

predictor = Predictor(LogMelSettings(hop=640, mel_bands=32), scene_logits, event_probabilities, 4)
noise, most = np.random.default_rng(0), []
for minutes in (5, 5, 40):
    with soundfile.SoundFile("a.wav", "w", 16_000, 1) as file:
        for part in range(minutes * 6):
            file.write(noise.normal(0, 0.1 if part % 3 else 0.001, 160_000))
    prediction = predict(predictor, "a.wav")
    assert abs(prediction.duration_s - minutes * 60) < 1e-6 and len(prediction.events) >= minutes
    most.append(most_used())
print(json.dumps(most))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(run_python):
    _, short, long = run_python(_MEMORY)
    assert long - short < 30  # 35 minutes more are 134 MB of samples, and 50 MB of levels


def recurrent_network():
    """Pools by four and a bidirectional GRU with weights from a seed: every answer depends on all of its window."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, 128, 1), name="log_mel")
    x = keras.layers.AveragePooling2D((4, 16))(inputs)
    encoder = keras.Model(inputs, keras.layers.Reshape((-1, 8))(x), name="encoder")
    given = keras.Input((None, 8))
    x = keras.layers.Bidirectional(keras.layers.GRU(8, return_sequences=True))(given)
    loud = keras.layers.Dense(10, "sigmoid")(keras.layers.Concatenate()([x, given]))
    head = keras.Model(given, {"strong": loud, "weak": keras.layers.GlobalMaxPooling1D()(loud)}, name="event_head")
    return keras.Model(inputs, head(encoder(inputs)), name="recurrent")


@pytest.fixture(scope="module")
def recurrent():
    return network_predictor(recurrent_network(), SETTINGS, DecodeSettings(), DCASE, ["events"])


def bursts(seconds, times):
    random = np.random.default_rng(5)
    audio = random.normal(0, 1e-4, round(seconds * RATE))
    for onset_s, offset_s in times:
        first, last = round(onset_s * RATE), round(offset_s * RATE)
        audio[first:last] = random.normal(0, 0.1, last - first)
    return audio.astype(np.float32)


def predicted(predictor, audio, path):
    soundfile.write(path, audio, RATE, subtype="FLOAT")
    return predict(predictor, path)


def test_an_event_across_borders_is_found_once_wherever_the_windows_lie(recurrent, tmp_path):
    """Events over beginnings and ends of windows (5, 10, 15 ... s), and the same in files that begin later."""
    times = [(4.5, 5.6), (8.0, 12.0), (14.8, 15.2), (19.0, 31.0), (33.0, 34.0)]
    audio = bursts(37.0, times)
    # A dense layer that hears the mean level makes it loud; the recurrent part moves every probability a little.
    whole = predicted(recurrent, audio, tmp_path / "a.wav")
    loud = np.abs(whole.probabilities - whole.probabilities[:60].mean(axis=0)).max(axis=0).argmax()
    levels = whole.probabilities[:, loud]
    middle = float(levels.min() + levels.max()) / 2
    sign = 1.0 if levels[220:300].mean() > middle else -1.0

    def louder(levels_):
        strong, weak = recurrent.event_probabilities(levels_)
        return np.clip(0.5 + sign * (strong[..., loud : loud + 1] - middle).repeat(10, axis=2), 0, 1), weak

    predictor = Predictor(SETTINGS, None, louder, 4)
    found = [predicted(predictor, audio[round(cut_s * RATE) :], tmp_path / "a.wav") for cut_s in (0.0, 1.0, 2.6, 3.92)]
    for cut_s, prediction in zip((0.0, 1.0, 2.6, 3.92), found, strict=True):
        events = [(e.onset_s + cut_s, e.offset_s + cut_s) for e, _ in prediction.events if e.label == DCASE.events[0]]
        assert len(events) == len(times), events
        np.testing.assert_allclose(events, times, atol=0.2)
        first = [(e.onset_s, e.offset_s) for e, _ in found[0].events if e.label == DCASE.events[0]]
        np.testing.assert_allclose(events, first, atol=0.0401)  # an embedding
    for cut_s, prediction in zip((1.0, 2.6, 3.92), found[1:], strict=True):
        first = round(cut_s / 0.04)
        settled = slice(100, 750)  # of what lies before a file's beginning nothing can be known
        moved = np.abs(found[0].probabilities[first:][settled] - prediction.probabilities[settled])
        assert moved.max() < 0.05
        assert moved.mean() < 0.005


def test_one_window_is_heard_as_it_was(recurrent, tmp_path):
    audio = bursts(10.0, [(2.0, 4.0), (7.5, 9.0)])
    expected, _ = recurrent.event_probabilities(LogMel(SETTINGS)(audio[None]))
    prediction = predicted(recurrent, audio, tmp_path / "a.wav")
    np.testing.assert_allclose(prediction.probabilities, expected[0], atol=1e-6)
    grid = Grid.over(SETTINGS, 1000, 4)
    np.testing.assert_allclose(prediction.grid.boundaries_s(), grid.boundaries_s())
    expected_events = decode(expected[0], grid, DCASE.events)
    assert [e for e, _ in prediction.events] == [e for e, _ in expected_events]


@pytest.mark.parametrize(
    "settings", [SETTINGS, LogMelSettings(hop=256, keep_last_frame=True), LogMelSettings(window=400, fft=512, hop=700)]
)
def test_levels_of_a_stream_are_those_of_the_whole(settings):
    audio = bursts(33.3, [(1, 2), (9.9, 22)])
    frames = -(-len(audio) // settings.hop)
    whole = LogMel(settings)(np.pad(audio, (0, frames * settings.hop - len(audio)))[None])[0][:frames]
    for block in (1000, 65_536, len(audio)):
        stream = LogMelStream(settings)
        parts = [stream.push(audio[first : first + block]) for first in range(0, len(audio), block)]
        np.testing.assert_allclose(np.concatenate([*parts, stream.finish(frames)]), whole, atol=1e-4)


def test_hysteresis_of_the_recipe_reaches_predictions(tmp_path):
    def halves(levels):
        loud = levels[:, ::4].mean(axis=2, keepdims=True) > -20.0
        return np.where(loud, 0.8, 0.35).astype(np.float32).repeat(10, axis=2), None

    audio, found = bursts(12.0, [(2.0, 4.0), (5.0, 7.0)]), {}
    for hysteresis in (0.0, 0.2):
        predictor = Predictor(SETTINGS, None, halves, 4, DecodeSettings(hysteresis=hysteresis))
        events = predicted(predictor, audio, tmp_path / "a.wav").events
        found[hysteresis] = [event[:2] for event, _ in events if event.label == DCASE.events[0]]
    np.testing.assert_allclose(found[0.0], [(2.0, 4.0), (5.0, 7.0)], atol=0.1)
    np.testing.assert_allclose(found[0.2], [(2.0, 12.0)], atol=0.1)


def test_joined_answers_pass_gradually_and_keep_what_agrees():
    plan = WindowPlan(1000, 4)
    for frames in (2530, 6001):
        joint, parts = WindowMean(plan), []
        windows = plan.windows(frames)
        for number, window in enumerate(windows[:-1]):
            parts.append(joint.add(window, np.full((250, 10), number % 2, np.float32)))
        last = np.full((250, 10), (len(windows) - 1) % 2, np.float32)
        joined = np.concatenate([*parts, joint.end(windows[-1], last, frames)])
        assert joined.shape == (-(-frames // 4), 10)
        # The last window may end a few embeddings after the one before it: up to there both know little.
        assert np.abs(np.diff(joined[:-20], axis=0)).max() < 0.1


def test_thinned_rows():
    for count in (3, 8, 9, 100, 1001):
        values = np.arange(count, dtype=np.float32)[:, None]
        overview = Overview(8, np.max)
        for part in np.array_split(values, 7):
            overview.push(part)
        rows = overview.rows()
        assert len(rows) <= 9
        assert rows[-1] == count - 1
        np.testing.assert_array_equal(rows[:-1, 0], np.arange(1, len(rows)) * overview.step - 1)


@pytest.fixture(scope="module")
def scenic():
    """Hears a scene by a second's level: loud is a tram, quiet a park."""

    def scene_logits(levels):
        logits = np.zeros((len(levels), 10))
        logits[:, DCASE.scenes.index("tram")] = 9.0 * np.sign(levels.mean(axis=(1, 2)) + 30)
        logits[:, DCASE.scenes.index("park")] = 5.0
        return logits

    return Predictor(SETTINGS, scene_logits)


def test_scenes_over_time(scenic, tmp_path):
    audio = bursts(65.4, [(20, 40)])
    prediction = predicted(scenic, audio, tmp_path / "a.wav")
    assert [(at.onset_s, at.offset_s, at.label) for at, _ in prediction.scenes] == [
        (0.0, 20.0, "park"),
        (20.0, 40.0, "tram"),
        (40.0, pytest.approx(65.4), "park"),
    ]
    assert prediction.scene == "park"
    assert prediction.events == ()
    assert prediction.to_dict()["events"] is None
    fine = predict(scenic, tmp_path / "a.wav", scene_window_s=1, picture=False)
    assert [at for at, _ in fine.scenes] == [at for at, _ in prediction.scenes]
    assert fine.scene_scores == prediction.scene_scores
    assert fine.log_mel is None
    with pytest.raises(ValueError, match="without a picture"):
        plot_timeline(fine, tmp_path / "a.png")


def test_scenes_in_clips_of_another_length(scenic, tmp_path):
    """Each inference is a clip of the recipe's length, and a step of the course is a whole number of them."""
    audio, lengths = bursts(31.0, [(16, 24)]), []

    def scene_logits(levels):
        lengths.append(levels.shape[1])
        return scenic.scene_logits(levels)

    longer = replace(scenic, scene_logits=scene_logits, data=DataSettings(scene_clip_s=2.0))
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    for window_s in (1, 3, 4):
        prediction = predict(longer, tmp_path / "a.wav", scene_window_s=window_s, picture=False)
        assert [(at.onset_s, at.offset_s, at.label) for at, _ in prediction.scenes] == [
            (0.0, 16.0, "park"),
            (16.0, 24.0, "tram"),
            (24.0, 31.0, "park"),
        ]
    assert set(lengths) == {200}


def test_pictures_of_long_recordings_are_thinned(scenic, tmp_path):
    prediction = predicted(scenic, np.zeros(RATE * 200, np.float32), tmp_path / "a.wav")
    assert MOST_ROWS / 2 < len(prediction.log_mel) <= MOST_ROWS + 1


def test_formats(tmp_path):
    event, scene = Event(0.5, 2.25, "Dog"), Event(0.0, 10.0, "park")
    both = Prediction(Path("a b.wav"), 10.0, ("scenes", "events"), None, {"park": 1.0}, ((scene, 0.9),), None, None,
                      ((event, 0.75),))  # fmt: skip
    nothing = Prediction(Path("ü.wav"), 3.0, ("events",), None, None, (), None, None, ())
    assert prediction_formats.tsv([both, nothing]).splitlines() == [
        "filename\tonset\toffset\tevent_label\tscene_label\tscore",
        "a b.wav\t0.000\t10.000\t\tpark\t0.9000",
        "a b.wav\t0.500\t2.250\tDog\t\t0.7500",
        "ü.wav\t\t\t\t\t",
    ]
    assert prediction_formats.audacity(both) == (
        "0.000000\t10.000000\tscene: park (0.90)\n0.500000\t2.250000\tDog (0.75)\n"
    )
    with pytest.raises(DataError, match="can't hold the name"):
        prediction_formats.tsv([Prediction(Path("a\tb.wav"), 3.0, ("events",), None, None, (), None, None, ())])
    with pytest.raises(DataError, match="several recordings"):
        prediction_formats.write([both, both], "audacity", tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def call(*arguments, code=0):
    done = CliRunner().invoke(cli.group, ["predict", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.mark.slow
def test_the_command_writes_what_is_asked_for(run, tmp_path):
    model = ("--model", run.path)
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / name, bursts(12.0, [(2, 5)]), RATE)
    two = (tmp_path / "a.wav", tmp_path / "b.flac")
    plain = json.loads(call(*two, *model, "--json").stdout)
    assert call(*two, *model, "--format", "json").stdout == call(*two, *model, "--json").stdout
    done = call(*two, *model, "--out", tmp_path / "heard.tsv", "--json")
    assert json.loads(done.stdout) == {**plain, "written": [str(tmp_path / "heard.tsv")]}
    lines = (tmp_path / "heard.tsv").read_text().splitlines()
    assert len(lines) == 1 + sum(len(file["events"] or []) + len(file["scenes"]) for file in plain["files"])
    done = call(*two, *model, "--format", "audacity", "--out", tmp_path / "labels")
    assert done.stdout.split() == [str(tmp_path / "labels" / "a.txt"), str(tmp_path / "labels" / "b.txt")]
    call(two[0], *model, "--out", tmp_path / "one.txt")
    assert (tmp_path / "one.txt").read_text() == (tmp_path / "labels" / "a.txt").read_text()


def test_label_tracks_of_others_are_kept(tmp_path):
    """They have the names of the recordings, which Audacity proposes for labels made by hand, too."""
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, bursts(1.0, []), RATE)
    (tmp_path / "b.txt").write_text("mine")
    for audio in (["b.wav"], ["a.wav", "b.wav"]):
        paths = [str(tmp_path / name) for name in audio]
        arguments = ["predict", *paths, "--model", "none", "--format", "audacity", "--out", str(tmp_path)]
        with pytest.raises(DataError, match=r"b\.txt is there already"):
            CliRunner().invoke(cli.group, arguments, catch_exceptions=False)
    prediction = Prediction(tmp_path / "b.wav", 1.0, (), None, None, (), None, None, ())
    with pytest.raises(DataError, match=r"b\.txt is there already"):
        prediction_formats.write([prediction], "audacity", tmp_path)
    assert (tmp_path / "b.txt").read_text() == "mine"


def test_options_that_do_not_go_together(run, tmp_path):
    soundfile.write(tmp_path / "a.wav", bursts(1.0, []), RATE)
    one, model = tmp_path / "a.wav", ("--model", run.path)
    assert "give --out" in call(one, *model, "--format", "tsv", "--json", code=2).stderr
    assert "no format for" in call(one, *model, "--out", tmp_path / "a.xyz", code=2).stderr
    for arguments in (
        (one, one, *model, "--format", "audacity"),
        (one, one, *model, "--out", tmp_path / "a.txt"),
        (tmp_path / "absent.wav", *model, "--out", tmp_path / "b.tsv"),
    ):
        with pytest.raises(DataError):
            CliRunner().invoke(cli.group, ["predict", *map(str, arguments)], catch_exceptions=False)
    assert not list(tmp_path.glob("*.t*"))


def test_run_listeners_hear_long_recordings(run, tmp_path):
    prediction = predicted(run_predictor(run), bursts(27.0, [(8, 12)]), tmp_path / "a.wav")
    assert prediction.probabilities.shape == (675, 10)
    assert prediction.grid.duration_s == 27.0
