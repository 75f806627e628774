"""`keras_mtl listen`: sound from a file and from the standard input through real interpreters, as it comes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
import wave

import numpy as np
import pytest
from click.testing import CliRunner
from small_artifacts import FEATURES, make_streaming

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError, DataError, EngineCrash, EngineTimeout
from keras_mtl.firmware_host.device import Detection
from keras_mtl.firmware_host.engines import LiveSession, Update
from keras_mtl.predictors import TextView, from_stream

SECONDS = 3


@pytest.fixture(scope="module")
def artifact(builder):
    return make_streaming(builder, "int8", event_hop=10)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Tones that come and go, int16."""
    generator = np.random.default_rng(3)
    time_s = np.arange(SECONDS * FEATURES.sample_rate_hz) / FEATURES.sample_rate_hz
    made = np.zeros(len(time_s))
    for hz in (200, 700, 1500, 2500, 4000, 6500):
        loud = (generator.uniform(size=12) < 0.5) * 10.0 ** generator.uniform(0, 3, 12)
        made += np.repeat(loud, len(time_s) // 12) * np.sin(2 * np.pi * hz * time_s)
    return made.clip(-32768, 32767).astype(np.int16)


@pytest.fixture
def saved(artifact, tmp_path) -> str:
    return str(artifact.save(tmp_path / "artifact"))


def detections_in(artifact, sound: np.ndarray, sizes: list[int], engine: str = "tflm") -> list[Detection]:
    ends = np.cumsum(sizes)
    with LiveSession(engine, artifact) as live:
        found = [
            each
            for end, size in zip(ends, sizes, strict=True)
            for each in live.push(sound[end - size : end]).detections
        ]
        return [*found, *live.finish().detections]


def followed_by_silence(sound: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """300 frames are 150 steps. The encoder is one step late: 302 frames, of which the last is complete 1,024 samples
    after its centre at 301 hops of 160.
    """
    silence = np.zeros(301 * 160 + 1024 - len(sound), np.int16)
    return np.concatenate([sound, silence]), [len(sound), len(silence)]


def test_sizes_of_the_pushes_change_nothing(artifact, sound):
    """One sample at a time, sizes at random, all at once: the same scenes and events, known at the same time."""
    some = sound[: FEATURES.sample_rate_hz]
    sizes, generator = [0], np.random.default_rng(1)
    while sum(sizes) < len(some):
        sizes.append(min(int(2 ** generator.uniform(0, 13)), len(some) - sum(sizes)))
    ones = [*[1] * 4000, len(some) - 4000]
    found = [detections_in(artifact, some, each) for each in ([len(some)], sizes, ones)]

    assert found[0] == found[1] == found[2]
    assert {each.kind for each in found[0]} == {"scene", "event_begin", "event_end"}
    floats = detections_in(artifact, (some / 32768).astype(np.float32), sizes)
    assert floats == found[1]


def test_what_an_interrupted_push_made_known_is_told_by_the_end(artifact, sound):
    """The interrupt comes while the engine computes, so that an answer is under way when the end is asked for."""

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    much = np.tile(sound, 200)
    try:
        with LiveSession("tflm", artifact) as live:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(KeyboardInterrupt):
                live.push(much)
            told = live.finish()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < told.samples < len(much)
    assert [*told.detections] == detections_in(artifact, much, [told.samples])


def test_file_and_standard_input(saved, artifact, sound, tmp_path):
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FEATURES.sample_rate_hz)
        file.writeframes(sound.tobytes())
    listen = ["listen", "--model", saved, "--engine", "tflm"]
    done = CliRunner().invoke(group, [*listen, str(path), "--json"])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["schema"] for line in lines} == {"keras_mtl.heard/1"}
    *heard, end = lines
    assert (end["kind"], end["duration_s"]) == ("end", SECONDS)
    assert 0 < end["load"] < 10
    goal = detections_in(artifact, *followed_by_silence(sound))
    assert len(goal) > len(detections_in(artifact, sound, [len(sound)])) > 5
    # Step 150 begins half a hop before the end, and is cut to it.
    ended = [{key: SECONDS if value == 2.995 else value for key, value in each.to_dict().items()} for each in goal]
    assert [{key: line[key] for key in line if key != "schema"} for line in heard] == ended
    assert SECONDS in {line["offset_s"] for line in heard}
    assert max(line["known_s"] for line in heard) == SECONDS
    piped = CliRunner().invoke(group, [*listen, "-", "--json"], input=sound.tobytes())
    assert piped.exit_code == 0, piped.output
    raw = [json.loads(line) for line in piped.stdout.splitlines()]
    assert raw[:-1] == heard
    waved = CliRunner().invoke(group, [*listen, "-", "--json"], input=path.read_bytes())
    assert [json.loads(line) for line in waved.stdout.splitlines()][:-1] == heard
    text = CliRunner().invoke(group, [*listen, "-"], input=sound.tobytes()).stdout
    assert f"scene  {goal[0].label}" in text or f"event  {goal[0].label}" in text
    assert "\x1b" not in text  # nothing is written over where nobody looks
    assert text.splitlines()[-1].startswith("0:00:03.00  end, load ")


def test_scenes_alone(builder, sound, artifact, tmp_path):
    """The scenes of the artifact of both tasks, and no events."""
    scenes = str(make_streaming(builder, "int8", part="scenes").save(tmp_path / "scenes"))
    done = CliRunner().invoke(group, ["listen", "-", "--model", scenes, "--engine", "tflm"], input=sound.tobytes())
    assert done.exit_code == 0, done.output
    *lines, end = done.stdout.splitlines()
    goal = [each for each in detections_in(artifact, *followed_by_silence(sound)) if each.kind == "scene"]
    assert [line.split()[1:3] for line in lines] == [["scene", each.label] for each in goal]
    assert "end, load" in end


def test_standard_input_is_heard_as_it_comes(saved, sound, interruptible):
    """What is known is told while the pipe stays open; an interrupt ends it and is no failure."""
    command = [*interruptible, "listen", "-", "--model", saved, "--engine", "tflm", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(sound.tobytes())
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        assert first["kind"] in ("scene", "event_begin")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    *told, end = map(json.loads, rest.splitlines())
    assert end["kind"] == "end"
    # Ended at once: 294 frames were complete, 147 steps, of which the last is held back.
    assert max(each["known_s"] for each in told) == round(146 * 0.02 - 0.005, 6)


def test_wrong_use_and_bad_input(saved, make_artifact, tmp_path, sound):
    run = CliRunner().invoke
    both = run(group, ["listen", "a.wav", "--device", "1", "--model", saved])
    assert both.exit_code == 2
    assert "give one of them" in both.output
    missing = run(group, ["listen", str(tmp_path / "no.wav"), "--model", saved])
    assert isinstance(missing.exception, DataError)
    clips = str(make_artifact("int8").save(tmp_path / "scenes.int8.tflite"))
    of_clips = run(group, ["listen", "-", "--model", clips], input=b"")
    assert isinstance(of_clips.exception, ArtifactError)
    assert "keras_mtl convert RUN --schedule stream" in str(of_clips.exception)
    odd = run(group, ["listen", "-", "--model", saved, "--engine", "tflm"], input=sound[:5000].tobytes() + b"\1")
    assert odd.exit_code == 0
    assert "end, load" in odd.stdout.splitlines()[-1]
    assert "ends within a sample" in odd.stderr
    # Nothing is no sound, and no failure.
    nothing = run(group, ["listen", "-", "--model", saved, "--engine", "tflm", "--json"], input=b"")
    assert json.loads(nothing.stdout) == {"schema": "keras_mtl.heard/1", "kind": "end", "duration_s": 0.0, "load": 0.0}


def test_a_sound_card_needs_the_extra(saved, run_python):
    """Without sounddevice, or without PortAudio or a device, it is one line that says what to do."""
    code = """
import contextlib, io, json, sys
sys.modules["sounddevice"] = None
from keras_mtl import cli
sys.argv = ["keras_mtl", "listen", "--model", sys.argv[1]]
err, code = io.StringIO(), 0
try:
    with contextlib.redirect_stderr(err):
        cli.main()
except SystemExit as stop:
    code = stop.code
print(json.dumps({"code": code, "err": err.getvalue()}))
"""
    done = run_python(code, saved)
    assert done["code"] == 2
    assert done["err"] == "error: a sound card needs sounddevice (pip install 'keras_mtl[listen]')\n"


def test_samples_split_between_reads_are_put_together():
    class Pipe(io.BytesIO):
        def read1(self, most: int = -1) -> bytes:
            return self.read(3)

    values = np.arange(-50, 50, dtype=np.int16)
    assert np.concatenate(list(from_stream(Pipe(values.tobytes()), 16_000))).tolist() == values.tolist()


def test_an_engine_that_dies_or_hangs_is_one_clear_error(artifact, sound):
    with LiveSession("tflm", artifact) as live:
        live.push(sound[:2000])
        os.kill(live.pid, signal.SIGKILL)
        with pytest.raises(EngineCrash, match="tflm died"):
            live.push(sound[:2000])
    with LiveSession("tflm", artifact, timeout_s=3.0) as live:
        os.kill(live.pid, signal.SIGSTOP)
        with pytest.raises(EngineTimeout, match="did not answer within 3 s"):
            live.push(np.tile(sound, 10))
    with pytest.raises(EngineCrash, match="takes nothing more"):
        live.push(sound)


def test_a_terminal_shows_what_sounds_now():
    out = io.StringIO()
    view = TextView(out, live=True)
    began = Detection("event_begin", "bark", 1.0, None, None, 1.5)
    view.show(Update((began,), "park", ("bark",), 24_000, 0.01), 1.5, 0.125)
    ended = Detection("event_end", "bark", 1.0, 2.25, 0.75, 2.5)
    view.show(Update((ended,), "park", (), 40_000, 0.01), 3725.5, 0.125)
    shown = out.getvalue().split("\r\x1b[2K")
    assert shown[1:] == [
        "0:00:01.50  park  |  bark  |  load 12%",
        "0:00:01.00  event  bark  1.25 s  (0.75)\n",
        "1:02:05.50  park  |  -  |  load 12%",
    ]
