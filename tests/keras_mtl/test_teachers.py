"""Teachers from outside: windows, outputs and their cache, probes that never saw a recording, targets of a folder."""

import json
import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import DataError, EngineCrash, EngineRefused, KerasMtlError, Labels, LogMelSettings, RecipeError
from keras_mtl.decoding import DecodeSettings
from keras_mtl.teachers import (
    EventProbe,
    FileTeacher,
    ProbeSettings,
    SceneProbe,
    TeacherSettings,
    hear,
    load_teacher,
    open_teacher,
    read_targets,
    read_teacher,
    teach,
)
from keras_mtl.teachers.windows import windows

RATE_HZ, WINDOW, VALUES, CLASSES = 16_000, 1600, 6, 5
LABELS = Labels(("airport", "bus"), ("bark", "bell", "cough"))


@dataclass(frozen=True)
class ArrayClips:
    """A split by its samples, such as any that is made of another one."""

    audio: np.ndarray
    name: str = "arrays/train"
    sample_rate_hz: int = RATE_HZ
    fails_at: int = -1

    @property
    def count(self) -> int:
        return len(self.audio)

    @property
    def clip_s(self) -> float:
        return self.audio.shape[1] / self.sample_rate_hz

    def between(self, first: int, last: int):
        for number in range(first, last):
            if number == self.fails_at:
                raise KeyboardInterrupt
            yield {"audio": self.audio[number], "filename": f"{number}.wav", "recording": f"r{number // 2}"}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    inputs = keras.Input((WINDOW,))
    x = keras.layers.Dense(VALUES, "tanh", name="inner", kernel_initializer=keras.initializers.GlorotUniform(1))(inputs)
    outputs = keras.layers.Dense(CLASSES, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(2))(x)
    return keras.Model(inputs, outputs)


def converted(model: keras.Model) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tf.lite.TFLiteConverter.from_keras_model(model).convert()


@pytest.fixture(scope="module")
def files(model, tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("teachers")
    model.save(folder / "little.keras")
    content = converted(model)
    (folder / "little.tflite").write_bytes(content)
    inner = [
        t["name"] for t in Interpreter(model_content=content).get_tensor_details() if list(t["shape"]) == [1, VALUES]
    ]
    return {"tflite": folder / "little.tflite", "keras": folder / "little.keras", "inner": inner[-1]}


@pytest.fixture(scope="module")
def teacher(files) -> TeacherSettings:
    probe = ProbeSettings(folds=2, epochs=1)
    return TeacherSettings(str(files["tflite"]), RATE_HZ, WINDOW, files["inner"], hop_s=1.0, scores=0, probe=probe)


def noise(clips: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8000, 8000, (clips, samples)).astype(np.int16)


def test_windows_are_the_middle_or_centred_at_the_hops():
    teacher = TeacherSettings("x", 10, 7, 0, hop_s=0.5)
    clip = np.arange(1, 13, dtype=np.float32)
    np.testing.assert_array_equal(windows(clip, teacher), [clip[2:9]])
    np.testing.assert_array_equal(windows(clip[:4], teacher), [[0, 1, 2, 3, 4, 0, 0]])
    found = windows(np.arange(1, 32, dtype=np.float32), teacher)
    assert found.shape == (7, 7)
    np.testing.assert_array_equal(found[0], [0, 0, 0, 1, 2, 3, 4])
    assert [row[3] for row in found] == [1 + 5 * k for k in range(7)]
    np.testing.assert_array_equal(found[-1], [28, 29, 30, 31, 0, 0, 0])
    second = windows(noise(1, 16_000)[0], TeacherSettings("x", RATE_HZ, 15_600, 0))
    np.testing.assert_array_equal(second[0], noise(1, 16_000)[0][200:15_800] / np.float32(32768))


def test_both_kinds_of_files_give_what_the_model_gives(model, files, teacher, tmp_path):
    clips = ArrayClips(noise(3, 32_000))
    by_tflite = hear(clips, "key" * 9, teacher, tmp_path)
    by_keras = hear(clips, "key" * 9, replace(teacher, model=str(files["keras"]), embedding="inner"), tmp_path)
    assert by_tflite.embeddings.shape == (3, 2, VALUES)
    np.testing.assert_allclose(by_tflite.embeddings[:], by_keras.embeddings[:], atol=2e-3)
    np.testing.assert_allclose(by_tflite.scores[:], by_keras.scores[:], atol=2e-3)
    wanted = model.predict_on_batch(windows(clips.audio[2], teacher))
    np.testing.assert_allclose(by_tflite.scores[2], wanted, atol=2e-3)
    assert by_tflite.labels[2] == {"filename": "2.wav", "recording": "r1"}


def test_log_mel_goes_in_as_the_settings_say(tmp_path):
    features = LogMelSettings(hop=400, window=512, mel_bands=4, mean_db=-30.0, std_db=10.0)
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(inputs))
    (tmp_path / "mel.tflite").write_bytes(converted(model))
    settings = (
        f'model = "mel.tflite"\ninput = "log_mel"\nsample_rate_hz = {RATE_HZ}\nwindow = {WINDOW}\nembedding = 0\n'
    )
    (tmp_path / "mel.toml").write_text(
        settings + "[features]\nhop = 400\nwindow = 512\nmel_bands = 4\nmean_db = -30.0\nstd_db = 10.0\n"
    )
    teacher = load_teacher(tmp_path / "mel.toml")
    assert teacher.features == features
    heard = hear(ArrayClips(noise(1, WINDOW)), "key" * 9, teacher, tmp_path)
    assert heard.scores is None
    from keras_mtl.features import LogMel, normalise

    wanted = normalise(LogMel(features)(noise(1, WINDOW)), features).max()
    np.testing.assert_allclose(heard.embeddings[0], [[wanted]], rtol=1e-3)


def test_an_interrupt_costs_one_shard(teacher, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("keras_mtl.teachers.hearing._SHARD_SECONDS", 2)
    clips = ArrayClips(noise(5, RATE_HZ))
    with pytest.raises(KeyboardInterrupt):
        hear(replace(clips, fails_at=3), "key" * 9, teacher, tmp_path)
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-00000.*")}
    assert len(done) == 3
    assert not list(tmp_path.rglob("*-00001.*"))
    heard = hear(clips, "key" * 9, teacher, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    kept = heard.scores[:]
    scores = next(tmp_path.rglob("scores-00001.npy"))
    scores.write_bytes(scores.read_bytes()[:-1] + b"?")
    np.testing.assert_array_equal(hear(clips, "key" * 9, teacher, tmp_path).scores[:], kept)
    assert "is damaged" in caplog.text


def test_clips_at_another_rate_are_refused(teacher, tmp_path):
    with pytest.raises(DataError, match=r"little.tflite takes 16,000 Hz, and arrays/train is at 8,000 Hz"):
        hear(ArrayClips(noise(1, 8000), sample_rate_hz=8000), "key", teacher, tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"embedding": "no/such"}, r"has no tensor 'no/such'"),
        ({"scores": 3}, "has no output 3"),
        ({"window": 800}, "takes any x 1600 values, window give 800"),
        ({"scores": "INNER"}, "they are no probabilities"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(files, teacher, tmp_path, change, says):
    change = {key: files["inner"] if value == "INNER" else value for key, value in change.items()}
    with pytest.raises(KerasMtlError, match=says):
        hear(ArrayClips(noise(1, RATE_HZ)), "key", replace(teacher, **change), tmp_path)


def test_numbers_that_are_none_name_their_clip(teacher, tmp_path):
    audio = noise(3, RATE_HZ).astype(np.float32)
    audio[1, 100] = np.nan
    with pytest.raises(DataError, match=r"its embedding of 1.wav is no number"):
        hear(ArrayClips(audio), "key", teacher, tmp_path)


def test_a_model_that_is_none_and_one_that_crashes_give_one_line(teacher, tmp_path, monkeypatch):
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    with pytest.raises(EngineRefused, match=r"broken.tflite can't be read"):
        hear(ArrayClips(noise(1, RATE_HZ)), "key", replace(teacher, model=str(tmp_path / "broken.tflite")), tmp_path)
    (tmp_path / "crashing.py").write_text("import os\ndef work(request):\n    os.kill(os.getpid(), 11)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("keras_mtl.teachers.hearing._WORKER", "crashing")
    with pytest.raises(EngineCrash, match=r"^the process of little.tflite died \(killed by SIGSEGV\)"):
        hear(ArrayClips(noise(1, RATE_HZ)), "key", teacher, tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("window = ", "is not TOML"),
        ("windov = 3", r"no key windov \(did you mean window"),
        ("model = 'x.tflite'\nwindow = 3\nembedding = 0", "sample_rate_hz is missing"),
        ("model = 'x.tflite'\nsample_rate_hz = 1.5\nwindow = 3\nembedding = 0", "sample_rate_hz = 1.5"),
        ("model = 'x.tflite'\nsample_rate_hz = 16000\nwindow = 3\nembedding = 0", "no model file"),
        ("model = ''\nsample_rate_hz = 16000\nwindow = 3\nembedding = 0", "names no model"),
        (
            "model = 'x.tflite'\nsample_rate_hz = 16000\nwindow = 3\nembedding = 0\ninput = 'log_mel'",
            "do not go together",
        ),
    ],
)
def test_a_toml_that_can_not_be_used(tmp_path, text, says):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=says):
        load_teacher(tmp_path / "mine.toml")


def test_yamnet_is_described_and_recognised(files, tmp_path):
    teacher = load_teacher("yamnet.toml", files["tflite"])
    assert (teacher.window, teacher.hop) == (15_600, 2560)
    with pytest.raises(RecipeError, match=r"little.tflite is not YAMNet: .* \(copy yamnet.toml"):
        read_teacher(files["tflite"])
    inputs = keras.Input((15_600,))
    embedding = keras.layers.Dense(1024, "relu")(keras.layers.Reshape((156, 100))(inputs)[:, 0])
    outputs = [keras.layers.Dense(521, "sigmoid")(embedding), embedding]
    (tmp_path / "like.tflite").write_bytes(converted(keras.Model(inputs, outputs)))
    found = read_teacher(tmp_path / "like.tflite")
    assert {found.embedding, found.scores} == {0, 1}


def planted(recordings: int, clips: int, scenes: int):
    """Embeddings by which recordings, but no scenes, can be told: a direction a recording, and a scene by chance."""
    random = np.random.default_rng(3)
    of_clip = np.repeat(np.arange(recordings), clips)
    scene = random.permutation(np.arange(recordings) % scenes)
    embeddings = 10.0 * np.eye(recordings)[of_clip] + 0.1 * random.normal(size=(len(of_clip), recordings))
    return embeddings.astype(np.float32), scene[of_clip], [f"r{k}" for k in of_clip]


def test_scene_logits_come_from_models_that_did_not_see_the_recording():
    embeddings, scenes, recordings = planted(24, 6, 3)
    probe = SceneProbe.fit(embeddings, scenes, recordings, 3, 0, c=1.0)

    def accuracy(logits):
        return (logits.argmax(axis=1) == scenes).mean()

    alone = [(name,) for name in recordings]
    assert accuracy(probe.of_all(embeddings)) == 1.0
    assert accuracy(probe.logits(embeddings, [()] * len(scenes))) > 0.7
    assert accuracy(probe.logits(embeddings, alone)) < 0.6
    # Another recording's fold is left out as well: of a pair, no model saw either.
    other = {fold: name for name, fold in probe.folds.items()}
    pairs = [(name, other[(probe.folds[name] + 1) % 4]) for name in recordings]
    assert accuracy(probe.logits(embeddings, pairs)) < 0.6
    trained_on = [set(probe.fold[~np.isin(probe.fold, without)]) for without in probe._models]
    assert all(not seen & set(without) for seen, without in zip(trained_on, probe._models, strict=True))
    with pytest.raises(DataError, match="less than two scenes"):
        probe.logits(embeddings[:1], [tuple(other.values())])


def test_a_scene_that_was_left_out_is_unknown_and_fits_are_kept(tmp_path):
    embeddings, scenes, recordings = planted(8, 4, 2)
    scenes = np.where(np.asarray(recordings) == "r0", 2, scenes)
    probe = SceneProbe.fit(embeddings, scenes, recordings, 3, 0, home=tmp_path)
    logits = probe.logits(embeddings, [(name,) for name in recordings])
    left_out = np.asarray(recordings) == "r0"
    np.testing.assert_allclose(logits[left_out, 2], logits[left_out, :2].mean(axis=1), atol=1e-5)
    written = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(path.name for path in written) == [f"scenes-without-{k}.npz" for k in range(4)]
    (tmp_path / "scenes-without-1.npz").write_bytes(b"damaged")
    again = SceneProbe.fit(embeddings, scenes, recordings, 3, 0, home=tmp_path)
    np.testing.assert_array_equal(again.logits(embeddings, [(name,) for name in recordings]), logits)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == written
    with pytest.raises(DataError, match="on 3 recordings"):
        SceneProbe.fit(embeddings[:3], scenes[:3], ["a", "b", "c"], 3, 0)


def test_event_probabilities_come_from_networks_that_did_not_see_the_clip():
    random = np.random.default_rng(5)
    embeddings = random.normal(size=(32, 4, 24)).astype(np.float32)
    targets = np.repeat(random.integers(0, 2, (32, 1, 2)), 4, axis=1).astype(np.float32)
    groups = [f"r{k // 2}" for k in range(32)]
    probe = EventProbe.fit(embeddings, targets, groups, 0, epochs=40, folds=2)

    def right(found):
        return ((found > 0.5) == (targets > 0.5)).mean()

    assert right(probe.of_all(embeddings)) > 0.9
    assert right(probe.probabilities(embeddings, groups)) < 0.75
    assert probe.probabilities(embeddings, ["unknown"] * 32).shape == targets.shape


def save(folder, **arrays):
    folder.mkdir(exist_ok=True)
    whole = {
        "filename": np.asarray(["a.wav", "b.wav", "c.wav"]),
        "embedding": np.random.default_rng(0).normal(size=(3, 4, 5)),
        "scenes": np.zeros((3, 2)),
        "events": np.full((3, 4, 3), 0.5),
        "hop_s": np.asarray(0.25),
    }
    np.savez(folder / "targets.npz", **{key: array for key, array in (whole | arrays).items() if array is not None})
    return folder


def test_a_folder_of_targets(corpus, tmp_path):
    clips, events = read_targets(
        save(tmp_path / "targets", events_filename=np.asarray(["c.wav", "x.wav", "y.wav"])), LABELS
    )
    assert (clips.embedding.shape, events.events.shape, events.hop_s) == ((3, 5), (3, 4, 3), 0.25)
    np.testing.assert_allclose(clips.embedding.std(axis=0), 1.0, rtol=1e-5)
    some = clips.of(["c.wav", "a.wav"], "targets")
    np.testing.assert_array_equal(some.embedding, clips.embedding[[2, 0]])
    with pytest.raises(DataError, match=r"targets: no targets of 2 of 3 clips: d.wav, e.wav \(export"):
        clips.of(["d.wav", "a.wav", "e.wav"], "targets")
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match="is no teacher"):
        open_teacher(tmp_path / "run", corpus, tmp_path)
    (tmp_path / "run" / "run.json").touch()
    assert open_teacher(tmp_path / "run", corpus, tmp_path) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"filename": None}, "filename is no list of texts"),
        ({"filename": np.asarray(["a.wav", "b.wav", "a.wav"])}, "has a.wav more than once"),
        ({"scenes": np.asarray([[0, 1], [0, np.nan], [0, 0]])}, r"scenes of b.wav is no number"),
        ({"scenes": np.zeros((3, 4))}, "scenes has 4 classes, the data have 2"),
        ({"scenes": np.zeros((2, 2))}, "scenes has 2 rows for 3 clips"),
        ({"events": np.full((3, 4, 3), 7.0)}, "events of a.wav is not between 0 and 1"),
        ({"embedding": np.asarray(["a", "b", "c"])}, "embedding is <U1 3"),
        ({"hop_s": None}, "events without hop_s"),
        ({"embeding": np.zeros(3)}, r"no array may be called 'embeding' \(did you mean embedding"),
        ({"embedding": None, "scenes": None, "events": None}, "has no targets"),
        ({"tags": np.asarray([{}, {}, {}])}, "can't be read"),
    ],
)
def test_targets_that_can_not_be_used(tmp_path, change, says):
    with pytest.raises(DataError, match=says):
        read_targets(save(tmp_path / "targets", **change), LABELS)


def test_teaching_writes_the_same_bytes_twice(corpus, cache, teacher, tmp_path):
    documents = [
        teach(FileTeacher(teacher, corpus, tmp_path / name, 0), DecodeSettings(), tmp_path / f"{name}.out")
        for name in ("one", "two")
    ]
    assert documents[0] == documents[1]
    assert documents[0]["figures"]["scenes"]["folds_by"] == "recording"
    for name in ("targets.npz", "teach.json"):
        assert (tmp_path / "one.out" / name).read_bytes() == (tmp_path / "two.out" / name).read_bytes()
    assert json.loads((tmp_path / "one.out" / "teach.json").read_text()) == documents[0]
    with pytest.raises(RecipeError, match="holds something"):
        teach(FileTeacher(teacher, corpus, tmp_path / "one", 0), DecodeSettings(), tmp_path / "one.out")

    # The folder gives what the teacher gives.
    split = corpus.events["strong_synthetic"]
    by_file = FileTeacher(teacher, corpus, tmp_path / "one", 0).targets(split)
    by_folder = open_teacher(tmp_path / "one.out", corpus, tmp_path).targets(split)
    np.testing.assert_array_equal(by_file.filenames, by_folder.filenames)
    np.testing.assert_allclose(by_file.events, by_folder.events, atol=1e-3)
    np.testing.assert_allclose(by_file.scenes, by_folder.scenes, atol=1e-5)
    np.testing.assert_allclose(by_file.tags, by_folder.tags, atol=1e-3)

    # The command, which finds all of it in the cache.
    (tmp_path / "one" / "tfds").symlink_to(cache / "tfds")
    toml = {"sample_rate_hz": RATE_HZ, "window": WINDOW, "embedding": teacher.embedding, "hop_s": 1.0, "scores": 0}
    lines = [f"{key} = {json.dumps(value)}" for key, value in toml.items()]
    (tmp_path / "little.toml").write_text("\n".join(['model = ""', *lines, "[probe]", "folds = 2", "epochs = 1"]))
    arguments = [str(tmp_path / "little.toml"), "--data", "soundscapes:tiny", "--cache", str(tmp_path / "one")]
    done = CliRunner().invoke(cli.group, ["teach", *arguments, "--model", teacher.model])
    assert done.exit_code == 0, done.output
    accuracy = documents[0]["figures"]["scenes"]["cross_fitted_accuracy"]
    assert re.search(rf"scenes +accuracy +{accuracy:.3f} +\d", done.stdout)
