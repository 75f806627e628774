"""The commands `train`, `evaluate` and `predict`, as a person or a program calls them, and what bad input gets."""

import csv
import json
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from little_training import LITTLE_NETWORK

from keras_mtl import cli
from keras_mtl.core import DataError
from keras_mtl.datasets import DataSettings, open_corpus
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.training import load_training_data
from keras_mtl.training import train as fit

TINY = (
    "train.epochs=1",
    "train.second_epochs=1",
    "strong_batch=4",
    "weak_batch=2",
    "unlabelled_batch=2",
    LITTLE_NETWORK,
)
TAU = "TAU-urban-acoustic-scenes-2022-mobile-development"


def document(*arguments):
    """What a command answers with `--json`: stdout holds that and nothing else."""
    done = CliRunner().invoke(cli.group, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def refusal(monkeypatch, capfd):
    """The one line that a wrong call gives, through the real entry point."""

    def refused(*arguments):
        monkeypatch.setattr(sys, "argv", ["keras_mtl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capfd.readouterr()
        assert stopped.value.code == 2
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1, err
        return lines[0]

    return refused


@pytest.mark.slow
def test_train_then_evaluate_then_predict(cache, tmp_path):
    sets = [word for item in TINY for word in ("--set", item)]
    out = tmp_path / "run"
    trained = document("train", "--recipe", "mt", "--data", "soundscapes:tiny", "--out", out, "--cache", cache, *sets)
    assert (trained["schema"], trained["run"]) == ("keras_mtl.train/1", str(out))
    assert set(trained["metrics"]) == {"scenes", "events"}
    data = json.loads((out / "run.json").read_text())["data"]
    assert trained["data"] == data
    assert len(data["fingerprint"]) == 64
    scored = document("evaluate", out, "--data", "soundscapes:tiny", "--cache", cache)
    assert scored["data"] == data
    assert scored["schema"] == "keras_mtl.evaluation/1"
    assert {key: scored[key] for key in ("scenes", "events")} == trained["metrics"]
    by_file = document(
        "evaluate", out / "network.keras", "--data", "soundscapes:tiny", "--cache", cache, "--resamples", 0
    )
    assert set(scored["scenes"]) - set(by_file["scenes"]) == {"intervals", "interval_method"}
    assert by_file["scenes"] == {key: scored["scenes"][key] for key in by_file["scenes"]}
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 48_000), 16_000)
    heard = document("predict", tmp_path / "a.wav", "--model", out, "--plot", tmp_path / "a.png")
    assert heard["schema"] == "keras_mtl.prediction/1"
    assert heard["files"][0]["scene"] in heard["files"][0]["scene_scores"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_missing_and_useless_folders(refusal, cache, tmp_path):
    train = ("train", "--recipe", "real", "--out", tmp_path / "run", "--cache", cache, "--data")
    assert "does not exist" in refusal(*train, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in refusal(*train, tmp_path / "empty")
    assert not (tmp_path / "run").exists()


def tau_folder(root, rows=40):
    """A small TAU folder: noise in all scenes, of two devices."""
    from keras_mtl.core import DCASE

    base = root / TAU
    (base / "audio").mkdir(parents=True)
    (base / "evaluation_setup").mkdir()
    names = [f"audio/{DCASE.scenes[i % 10]}-lyon-{i}-{i}-0-{'ab'[i // 10 % 2]}.wav" for i in range(rows)]
    meta = [(name, name[6:].split("-")[0], f"lyon-{i}", name[-5]) for i, name in enumerate(names)]
    splits = {"fold1_train": meta[: rows // 2], "fold1_evaluate": meta[rows // 2 :]}
    write_table(base / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), meta)
    for split, listed in splits.items():
        rows_ = [row[:2] for row in listed]
        write_table(base / "evaluation_setup" / f"{split}.csv", ("filename", "scene_label"), rows_)
    write_table(base / "evaluation_setup" / "fold1_test.csv", ("filename",), [row[:1] for row in meta[rows // 2 :]])
    noise = np.random.default_rng(1)
    for name in names:
        soundfile.write(base / name, noise.normal(0, 0.1, 44_100), 44_100, subtype="PCM_24")
    return base


def write_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([header, *rows])


def scenes_alone(folder, out, cache):
    sets = ("algorithm=single", "task=scenes", "train.epochs=1", "scene_batch=8")
    arguments = ("train", "--recipe", "paper", "--data", folder, "--out", out, "--cache", cache)
    return [*arguments, *(word for item in sets for word in ("--set", item))]


@pytest.mark.parametrize("damage", ["empty table", "headers alone", "text as recording"])
def test_damaged_data_are_named_and_nothing_is_written(refusal, tmp_path, damage):
    base = tau_folder(tmp_path / "data")
    setup = base / "evaluation_setup"
    if damage == "text as recording":
        culprit = next((base / "audio").glob("airport*.wav"))
        culprit.write_text("I am a text, not a recording\n")
    elif damage == "empty table":
        culprit = setup / "fold1_train.csv"
        culprit.write_text("")
    else:
        culprit = setup  # a header alone is a fold without this part, as long as another one is there
        (setup / "fold1_train.csv").write_text("filename\tscene_label\n")
        (setup / "fold1_test.csv").write_text("filename\n")
    line = refusal(*scenes_alone(tmp_path / "data", tmp_path / "run", tmp_path / "cache"))
    assert culprit.name in line
    assert not (tmp_path / "run").exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.parent.name != "digests"]


def test_stereo_at_48_khz_is_used_and_told(tmp_path, caplog):
    base = tau_folder(tmp_path / "data")
    odd = next((base / "audio").glob("airport*.wav"))
    soundfile.write(odd, np.random.default_rng(2).normal(0, 0.1, (48_000, 2)), 48_000)
    document(*scenes_alone(tmp_path / "data", tmp_path / "run", tmp_path / "cache"))
    assert re.search(r"(train|test): 20 clips, of them or in them: 1 clips mixed down to one channel", caplog.text)


def with_half(base):
    """Writes the table of the half of the training split, each second clip of it; gives the names of these clips."""
    rows = (base / "evaluation_setup/fold1_train.csv").read_text().splitlines()[1::2]
    names = [row.split("\t")[0] for row in rows]
    (base / "split_setup").mkdir()
    write_table(base / "split_setup/split50.csv", ("filename",), [(name,) for name in names])
    return names


@pytest.mark.slow
def test_a_subset_is_prepared_trained_on_scored_and_quantized(tmp_path):
    names, cache, out = with_half(tau_folder(tmp_path / "data")), tmp_path / "cache", tmp_path / "run"
    half, data = ("--set", "data.scene_subset=50"), ("--data", tmp_path / "data", "--cache", cache)
    prepared = document("data", "prepare", tmp_path / "data", "--cache", cache, "--recipe", "real", *half)
    counts = {row["name"].partition("/")[2]: row["clips"] for row in prepared["splits"]}
    assert counts == {"split50": len(names), "test": 20}
    before = sorted(cache.rglob("*.npy"))
    trained = document(*scenes_alone(tmp_path / "data", out, cache), *half)
    assert sorted(cache.rglob("*.npy")) == before, "what was prepared is what the training reads"
    assert trained["data"]["fingerprint"] == prepared["fingerprint"]
    assert trained["metrics"]["scenes"]["clips"] == 20
    run = Run.load(out)
    assert run.recipe.data.scene_subset == 50
    assert "scene_subset = 50" in (out / "recipe.toml").read_text()
    samples = run.samples()
    assert len(samples.calibration) == len(names) - round(0.05 * len(names)), "calibration is by clips of the subset"
    scored = document("evaluate", out, *data, "--resamples", 0)
    assert scored["scenes"]["accuracy"] == trained["metrics"]["scenes"]["accuracy"]
    document("quantize", out, "--scheme", "int8", "--out", tmp_path / "int8", "--epochs", 1, *data)
    assert Run.load(tmp_path / "int8").recipe.data.scene_subset == 50
    assert not [path for path in cache.rglob("*") if "train" in path.name], "no more than the subset was prepared"


def test_several_subsets_at_once_are_told_once(tmp_path):
    with_half(tau_folder(tmp_path / "data"))
    (tmp_path / "half.toml").write_text("[data]\nscene_subset = 50\n")
    both = ("--recipe", "real", "--recipe", tmp_path / "half.toml")
    rows = document("data", "prepare", tmp_path / "data", "--cache", tmp_path / "cache", *both)["splits"]
    assert sorted(row["name"].partition("/")[2] for row in rows) == ["split50", "test", "train"]
    corpus = open_corpus(tmp_path / "data", tmp_path / "cache" / "tfds", settings=DataSettings(scene_subset=50))
    with pytest.raises(DataError, match=r"opened with data\.scene_subset = 50, and the recipe has 100"):
        load_training_data(load_recipe("real"), corpus, {"scenes"}, tmp_path / "cache")


def test_subsets_that_are_not_there(refusal, cache, tmp_path):
    base, out = tau_folder(tmp_path / "data"), tmp_path / "run"
    with_half(base)
    train = scenes_alone(tmp_path / "data", out, tmp_path / "cache")
    line = refusal(*train, "--set", "data.scene_subset=5")
    assert f"no split5.csv in {base}/split_setup or evaluation_setup; there: split50.csv" in line
    assert "dcase2024_task1_baseline; data.scene_subset=100 takes all" in line
    assert "one of 5, 10, 25, 50, 100)" in refusal(*train, "--set", "data.scene_subset=7")
    assert "soundscapes holds no TAU" in refusal(
        *scenes_alone("soundscapes:tiny", out, cache), "--set", "scene_subset=5"
    )
    (tmp_path / "other/desed/metadata").mkdir(parents=True)
    line = refusal(*scenes_alone(tmp_path / "other", out, cache), "--set", "scene_subset=5")
    assert f"{tmp_path / 'other'} holds no TAU data" in line
    assert not out.exists()
    assert not (tmp_path / "cache").exists()


def test_resuming_on_other_data_is_refused_before_they_are_prepared(tmp_path):
    base, out, cache = tau_folder(tmp_path / "data"), tmp_path / "run", tmp_path / "cache"
    train = scenes_alone(tmp_path / "data", out, cache)

    def refused():
        with pytest.raises(DataError) as caught:
            document(*train, "--resume")
        return str(caught.value)

    document(*train)
    stamp = json.loads((out / "data.json").read_text())
    assert stamp["schema"] == "keras_mtl.run_data/1"
    assert sorted(stamp["clips"].values()) == [20, 20]
    assert {key: stamp[key] for key in ("name", "fingerprint")} == json.loads((out / "run.json").read_text())["data"]
    again = document(*train, "--resume")
    assert again["data"]["fingerprint"] == stamp["fingerprint"]
    (out / "run.json").unlink()
    kept = sorted((cache / "tfds").iterdir())
    first, second = sorted((base / "audio").glob("*-a.wav"))[:2]
    original = second.read_bytes()
    shutil.copyfile(first, second)
    line = refused()
    assert "\n" not in line
    assert f"{out} was begun on other data (data, {stamp['fingerprint'][:12]}) than these (" in line
    assert line.endswith("): tau is not as it was (give --data as it was then, or train anew in another folder)")
    assert sorted((cache / "tfds").iterdir()) == kept
    with pytest.raises(DataError, match="tau is not as it was"):  # without the command, too
        corpus = open_corpus(tmp_path / "data", cache / "tfds", progress=False)
        fit(load_recipe("real"), corpus, out, cache, resume=True)
    second.write_bytes(original)
    (tmp_path / "data/desed/metadata").mkdir(parents=True)
    (tmp_path / "data/desed/metadata/mine.tsv").write_text("something")
    assert "desed is new, tau is the same" in refused()
    (out / "data.json").unlink()  # a finished run of before there was this file has its data in run.json
    (out / "run.json").write_text(json.dumps({"data": {"name": "old", "fingerprint": "0" * 64}}))
    assert "begun on other data (old, 000000000000) than these (" in refused()


def test_wrong_recipes(refusal, tmp_path):
    train = ("train", "--data", "soundscapes:tiny", "--out", tmp_path / "run", "--recipe")
    assert "did you mean epochs?" in refusal(*train, "real", "--set", "train.epoch=3")
    assert "unreal" in refusal(*train, "unreal")
    (tmp_path / "mine.toml").write_text("[train]\nlerning_rate = 0.1\n")
    assert "learning_rate" in refusal(*train, tmp_path / "mine.toml")
    (tmp_path / "mine.toml").write_text("[train\n")
    assert "mine.toml" in refusal(*train, tmp_path / "mine.toml")
    assert not (tmp_path / "run").exists()


def test_wrong_models_and_recordings(refusal, run, cache, tmp_path):
    data = ("--data", "soundscapes:tiny", "--cache", cache)
    assert "nowhere" in refusal("evaluate", tmp_path / "nowhere", *data)
    (tmp_path / "empty.tflite").write_bytes(b"")
    assert "empty.tflite" in refusal("evaluate", tmp_path / "empty.tflite", *data)
    shutil.copy(run.path / "network.keras", tmp_path / "network.keras")
    assert "run folder" in refusal("evaluate", tmp_path / "network.keras", *data)
    (tmp_path / "text.wav").write_text("I am a text, not a recording\n")
    assert "text.wav" in refusal("predict", tmp_path / "text.wav", "--model", run.path)
    assert "absent.wav" in refusal("predict", tmp_path / "absent.wav", "--model", run.path)
    two = ("predict", tmp_path / "text.wav", tmp_path / "text.wav", "--model", run.path)
    assert "one recording" in refusal(*two, "--plot", tmp_path / "x.png")
