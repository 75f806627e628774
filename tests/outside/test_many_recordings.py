"""`keras_mtl predict` of many recordings, some of which can't be read."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from keras_mtl.cli import predict as predict_command
from keras_mtl.core import DCASE, DataError, LogMelSettings, VerdictFailed
from keras_mtl.inference import Predictor, predict

RATE_HZ = 16_000


def scene_logits(log_mel: np.ndarray) -> np.ndarray:
    """The louder, the more of the first scene."""
    logits = np.zeros((len(log_mel), len(DCASE.scenes)), np.float32)
    logits[:, 0] = log_mel.mean(axis=(1, 2)) + 40
    return logits


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The command with a network that is there at once; the recordings that it was given."""
    given: list[Path] = []
    network = Predictor(LogMelSettings(), scene_logits=scene_logits)

    def one(path: Path):
        given.append(path)
        if path.name == "interrupt.wav":
            raise KeyboardInterrupt
        return predict(network, path, picture=False)

    monkeypatch.setattr(predict_command, "_predictor", lambda *_: one)
    return given


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Of many kinds, whole and cut short, in turn."""
    found = []
    for name in ("a.flac", "b.ogg", "c.mp3", "d.wav", "e.aiff"):
        for kind in ("whole", "cut"):
            path = tmp_path / f"{kind} {name}"
            soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 2 * RATE_HZ), RATE_HZ)
            if kind == "cut":
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            found.append(path)
    return [*found, tmp_path / "none.wav", found[0].with_name("empty.wav")]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(predict_command.command, [*map(str, arguments), "--model", "any"])


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()


def test_each_result_is_written_and_the_bad_files_are_named_at_the_end(recordings, predicted) -> None:
    done = run(*recordings)
    assert isinstance(done.exception, VerdictFailed)
    assert done.exception.exit_code == 1
    assert "7 of 12 recordings can't be predicted" in str(done.exception)
    assert [line for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        f"{path}  2.0 s" for path in recordings if path.name.startswith("whole")
    ]
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    bad = [path for path in recordings if not path.name.startswith("whole")]
    assert len(failed) == len(bad)
    assert all(str(path) in line for path, line in zip(bad, failed, strict=True))
    assert predicted == recordings


def test_a_result_does_not_wait_for_the_others(tmp_path: Path, recordings, predicted, capsys) -> None:
    with pytest.raises(click.Abort):
        predict_command.command.main(
            [str(recordings[0]), str(recordings[1]), str(tmp_path / "interrupt.wav"), "--model", "any"],
            standalone_mode=False,
        )
    told = capsys.readouterr()
    assert told.out.startswith(f"{recordings[0]}  2.0 s\n")
    assert f"failed: {recordings[1]}" in told.err


@pytest.mark.parametrize("form", ["tsv", "json", "audacity"])
def test_the_same_in_files(tmp_path: Path, recordings, predicted, form: str) -> None:
    out = tmp_path / {"tsv": "out.tsv", "json": "out.json", "audacity": "out"}[form]
    done = run(*recordings, "--format", form, "--out", out)
    assert isinstance(done.exception, VerdictFailed)
    whole = [path for path in recordings if path.name.startswith("whole")]
    if form == "audacity":
        assert sorted(path.stem for path in out.iterdir()) == sorted(path.stem for path in whole)
        assert done.stdout.splitlines() == [str(out / f"{path.stem}.txt") for path in whole]
    elif form == "tsv":
        assert [line.split("\t")[0] for line in out.read_text().splitlines()[1:]] == [str(path) for path in whole]
    else:
        document = json.loads(out.read_text())
        assert [each["file"] for each in document["files"]] == [str(path) for path in whole]
        assert [each["file"] for each in document["failed"]] == [str(p) for p in recordings if p not in whole]


def test_a_table_on_the_output_has_one_header(recordings, predicted) -> None:
    lines = run(*recordings, "--format", "tsv").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "filename",
        *(str(path) for path in recordings if path.name.startswith("whole")),
    ]
    document = json.loads(run(*recordings, "--json").stdout)
    assert (len(document["files"]), len(document["failed"])) == (5, 7)


def test_one_bad_recording_alone_is_bad_input(recordings, predicted) -> None:
    done = run(recordings[1])
    assert isinstance(done.exception, DataError)
    assert done.exception.exit_code == 2
    assert run(recordings[0]).exit_code == 0


def test_what_a_recording_loses_is_told(tmp_path: Path, predicted) -> None:
    tone = np.sin(np.arange(RATE_HZ) / 10)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], 1), RATE_HZ)
    soundfile.write(tmp_path / "b.wav", 3e4 * tone, RATE_HZ, subtype="FLOAT")
    done = run(tmp_path / "a.wav", tmp_path / "b.wav", "--json")
    assert done.exit_code == 0
    assert f"warning: {tmp_path / 'a.wav'}: its channels cancel each other to silence" in done.stderr
    assert "not divided by 32768" in done.stderr
    assert [len(each["warnings"]) for each in json.loads(done.stdout)["files"]] == [1, 1]
