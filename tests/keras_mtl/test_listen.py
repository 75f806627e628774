"""`keras_mtl data listen`: what is known of a clip, where its labels come from, and the picture."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.datasets.clip_labels import labels_of
from keras_mtl.errors import DataError


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
