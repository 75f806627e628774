"""`keras_mtl data listen`: what is known of a clip, where its labels come from, and the picture."""

import json
import re

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import DataError
from keras_mtl.datasets.tables import labels_of
from keras_mtl.decoding import Event
from keras_mtl.inference import Prediction
from keras_mtl.inference import formats as prediction_formats


def tone(path, seconds=2.0, rate=16_000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.repeat(sine[:, None], channels, axis=1), rate)
    return path


def listen(*arguments):
    done = CliRunner().invoke(cli.group, ["data", "listen", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def desed_clip(tmp_path):
    clip = tone(tmp_path / "desed/audio/validation/validation_16k/v 1.wav")
    table = tmp_path / "desed/metadata/validation/validation.tsv"
    table.parent.mkdir(parents=True)
    table.write_text("filename\tonset\toffset\tevent_label\nv 1.wav\t1.0\t1.5\tDog\nv 1.wav\t0.2\t0.9\tSpeech\n")
    return clip


def test_a_desed_clip_and_its_picture(desed_clip, tmp_path):
    found = json.loads(listen(desed_clip, "--plot", tmp_path / "a.png", "--json"))
    assert (found["schema"], found["sample_rate_hz"], found["channels"]) == ("keras_mtl.clip/1", 16_000, 1)
    assert found["duration_s"] == 2.0
    assert found["peak_dbfs"] == pytest.approx(-6.02, abs=0.05)
    assert found["rms_dbfs"] == pytest.approx(-9.03, abs=0.05)
    assert [(e["onset_s"], e["label"]) for e in found["labels"]["events"]] == [(0.2, "Speech"), (1.0, "Dog")]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    first = (tmp_path / "a.png").read_bytes()
    text = listen(desed_clip, "--plot", tmp_path / "a.png")
    assert "1.00 -   1.50 s  Dog" in text
    assert (tmp_path / "a.png").read_bytes() == first


def test_a_tau_clip_and_one_that_nothing_is_known_of(tmp_path):
    clip = tone(tmp_path / "tau/audio/bus-lyon-1-2-0-a.wav", 1.0, 44_100, 2)
    row = "audio/bus-lyon-1-2-0-a.wav\tbus\tlyon-1\ta"
    (tmp_path / "tau/meta.csv").write_text(f"filename\tscene_label\tidentifier\tsource_label\n{row}\n")
    labels = json.loads(listen(clip, "--json"))["labels"]
    assert (labels["scene"], labels["device"], labels["recording"]) == ("bus", "a", "lyon-1")
    assert "labels  none known" in listen(tone(tmp_path / "x.flac"))
    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 16_000)
    assert json.loads(listen(tmp_path / "silence.wav", "--json"))["peak_dbfs"] is None


def test_labels_of_a_table_of_ones_own(tmp_path):
    clip, table = tone(tmp_path / "x.wav"), tmp_path / "mine.tsv"
    table.write_text("filename\tevent_labels\nx.wav\tCat, Dog\n")
    assert labels_of(clip, table).weak == ["Cat", "Dog"]
    table.write_text("filename\tonset\toffset\tevent_label\nx.wav\tsoon\t1\tDog\n")
    with pytest.raises(DataError, match="not a number"):
        labels_of(clip, table)
    table.write_text("filename\tonset\toffset\tevent_label\ny.wav\t0\t1\tDog\n")
    with pytest.raises(DataError, match=r"no row for x\.wav"):
        labels_of(clip, table)


def test_a_model_s_answer(desed_clip, run, tmp_path):
    found = json.loads(listen(desed_clip, "--model", run.path, "--plot", tmp_path / "a.svg", "--json"))
    assert found["heard"]["scene"] in found["heard"]["scene_scores"]
    assert (tmp_path / "a.svg").stat().st_size > 5000


def test_a_label_track_as_audacity_writes_it(tmp_path):
    clip, track = tone(tmp_path / "x.wav"), tmp_path / "labels.txt"
    track.write_bytes(
        b"\xef\xbb\xbf1.000000\t1.500000\tDog\r\n0.250000\t0.250000\tTaps, two of them (2)\r\n"
        b"\\\t200.000000\t4000.000000\r\n1.6\t1.7\r\n"
    )
    found = json.loads(listen(clip, "--labels", track, "--plot", tmp_path / "a.png", "--json"))["labels"]
    assert [(e["onset_s"], e["offset_s"], e["label"]) for e in found["events"]] == [
        (0.25, 0.25, "Taps, two of them (2)"),
        (1.0, 1.5, "Dog"),
        (1.6, 1.7, ""),
    ]
    assert (found["table"], found["scene"], found["weak"]) == (str(track), None, [])
    assert "1.00 -   1.50 s  Dog" in listen(clip, "--labels", track)
    track.write_text("")  # no label
    assert labels_of(clip, track).events == []


def test_what_predict_writes_is_read_back(tmp_path):
    clip, event, scene = tone(tmp_path / "x.wav"), Event(0.5, 1.25, "Dog"), Event(0.0, 0.4, "park")
    scenes = ((scene, 0.91), (Event(0.4, 2.0, "tram"), 1.0))
    prediction = Prediction(
        clip, 2.0, ("scenes", "events"), "tram", {"tram": 1.0}, scenes, None, None, ((event, 0.75),)
    )
    (track,) = prediction_formats.write([prediction], "audacity", tmp_path / "x.txt")
    (table,) = prediction_formats.write([prediction], "tsv", tmp_path / "x.tsv")
    assert labels_of(clip, track).scene == "tram"
    assert labels_of(clip, track).events == labels_of(clip, table).events == [(0.5, 1.25, "Dog")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.5\t1.0\tDog\n1.5\tDog\n", r"line 2: '1.5\tDog' does not begin with two times"),
        ("2.0\t1.0\tDog\n", "line 1"),
        ("0.5\tnan\tDog\n", "line 1"),
        ("-1\t1.0\tDog\n", "line 1"),
        ("0,5\t1,0\tDog\n", "no column filename"),
        ("Dog\t0.5\t1.0\n", "no column filename"),
    ],
)
def test_what_is_no_track_and_no_table_is_named(tmp_path, text, says):
    clip, track = tone(tmp_path / "x.wav"), tmp_path / "labels.txt"
    track.write_text(text)
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        labels_of(clip, track)
    assert "\n" not in str(caught.value)


def test_labels_that_are_not_there_or_no_text(tmp_path):
    clip = tone(tmp_path / "x.wav")
    with pytest.raises(DataError, match="no labels at"):
        labels_of(clip, tmp_path / "none.txt")
    with pytest.raises(DataError, match="not a text file"):
        labels_of(clip, clip)
    with pytest.raises(DataError, match="can't be read"):
        labels_of(clip, tmp_path)
