"""Ambient audio, hours without any event of the classes: what a model detects in it is a false alarm."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl.core import DataError, LogMelSettings
from keras_mtl.datasets.audio import recordings_below
from keras_mtl.decoding import Grid
from keras_mtl.features import LogMelStream, normalise
from keras_mtl.firmware_host.engines import run
from keras_mtl.inference import EventInference, Prediction, Predictor, predict, recording_blocks
from keras_mtl.metrics import false_alarm_figures
from keras_mtl.predictors.streaming import predict_stream
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tuning import Tracks

_HOUR_S = 3600.0
#: What a streaming artifact takes from one start to its end when tracks are made; a device runs on.
_PART_S = 1800.0
#: Slower than the sound no device is, and no interpreter here.
_LEAST_TIMEOUT_S = 600.0


def ambient_recordings(folder: Path) -> list[Path]:
    """The recordings in a folder and those within it, in the order of their paths.

    Raises:
        DataError: no such folder, or no recording in it.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DataError(f"no folder of ambient audio at {folder}", hint="--ambient DIR holds recordings without events")
    found = recordings_below(folder)
    if not found:
        raise DataError(f"{folder} holds no recordings", hint="ambient audio are files such as *.wav")
    return found


def false_alarms(model: Predictor | Artifact, folder: Path, engine: str = "litert") -> dict[str, Any]:
    """False alarms per hour of each class on ambient audio, each recording read block by block.

    Args:
        model: a predictor, or a streaming artifact, which takes each recording as a device does.
        folder: recordings in which every detection is a false alarm.
        engine: the interpreter of an artifact.

    Returns:
        `recordings`, `hours`; `classes`: figures of `false_alarm_figures` by class; and `interval_method`.

    Raises:
        DataError: as of `ambient_recordings`, or a recording that can't be read; the model has no events.
    """
    recordings = ambient_recordings(folder)
    labels = (model.facts.labels if isinstance(model, Artifact) else model.labels).events
    predicted = _prediction(model, engine)
    counts, seconds = Counter[str](), 0.0
    for path in tqdm(recordings, desc="ambient", unit="file", file=sys.stderr, disable=None):
        found = predicted(path)
        seconds += found.duration_s
        counts.update(event.label for event, _ in found.events)
    hours = seconds / _HOUR_S
    return {
        "recordings": len(recordings),
        "hours": hours,
        "classes": {label: false_alarm_figures(counts[label], hours) for label in labels},
        "interval_method": {"name": "exact Poisson", "level": 0.95},
    }


def ambient_tracks(model: Predictor | Artifact, folder: Path, engine: str = "litert") -> Tracks:
    """Frame probabilities of ambient audio, which take 4 bytes for each step and class.

    Args:
        model: as of `false_alarms`.
        folder: as of `false_alarms`.
        engine: the interpreter of an artifact.

    Raises:
        DataError: as of `false_alarms`.
    """
    recordings = ambient_recordings(folder)
    labels = (model.facts.labels if isinstance(model, Artifact) else model.labels).events
    parts: list[tuple[np.ndarray, Grid]] = []
    with (
        ThreadPoolExecutor(cpu_count() or 1) as pool,
        tqdm(total=len(recordings), desc="ambient", unit="file", file=sys.stderr, disable=None) as bar,
    ):
        # Threads only wait here: an engine runs in a process of its own, and a Keras network on all cores.
        if isinstance(model, Artifact):
            _require_events(bool(model.wiring.classifiers), "artifact")
            found = pool.map(lambda path: list(_streamed(model, path, engine)), recordings)
        else:
            _require_events(model.event_probabilities is not None, "model")
            found = ([_windowed(model, path)] for path in recordings)
        for each in found:
            parts += each
            bar.update()
    return Tracks([values for values, _ in parts], [grid for _, grid in parts], labels)


def _prediction(model: Predictor | Artifact, engine: str) -> Callable[[Path], Prediction]:
    if isinstance(model, Artifact):
        _require_events(bool(model.wiring.classifiers), "artifact")
        artifact = model
        return lambda path: predict_stream(artifact, path, engine=engine, picture=False)
    _require_events(model.event_probabilities is not None, "model")
    events = replace(model, scene_logits=None)
    return lambda path: predict(events, path, picture=False)


def _require_events(there: bool, what: str) -> None:
    if not there:
        raise DataError(f"the {what} has no events, so it gives no false alarms", hint="name one with an event decoder")


def _windowed(predictor: Predictor, path: Path) -> tuple[np.ndarray, Grid]:
    """As `predict` computes them."""
    settings, inference = predictor.settings, EventInference(predictor)
    stream, samples, found = LogMelStream(settings), 0, []
    for block in recording_blocks(path, settings.sample_rate_hz, progress=False):
        samples += len(block)
        found.append(inference.push(stream.push(block)))
    frames = -(-samples // settings.hop)
    found.append(inference.finish(frames, stream.finish(inference.frames_wanted(frames))))
    values = np.concatenate(found)
    step_s = settings.hop_s * predictor.frames_per_embedding
    return values, Grid(step_s, -settings.hop_s / 2, len(values), samples / settings.sample_rate_hz)


def _streamed(artifact: Artifact, path: Path, engine: str) -> Iterator[tuple[np.ndarray, Grid]]:
    """As the engine gives them from a start to an end, in parts of half an hour at most."""
    settings, stream = artifact.facts.features, artifact.wiring.stream
    port = artifact.network.inputs[0]
    for log_mel in _parts(path, settings, round(_PART_S / settings.hop_s) // stream.stride * stream.stride):
        # Up to the embedding of the last frame, which the encoder gives some steps later.
        after = -len(log_mel) % stream.stride + stream.latency * stream.stride
        values = port.quantize(np.pad(normalise(log_mel, settings), ((0, after), (0, 0))))
        timeout_s = max(_LEAST_TIMEOUT_S, settings.seconds(len(log_mel)))
        strong = run(engine, artifact, {"recording": values}, timeout_s=timeout_s).outputs["strong"]
        grid = Grid.over(settings, len(log_mel), stream.stride, len(strong))
        yield strong, grid


def _parts(path: Path, settings: LogMelSettings, most: int) -> Iterator[np.ndarray]:
    """The log-mel of a recording [frames, mel_bands] in parts of so many frames."""
    stream, samples, held = LogMelStream(settings), 0, [np.zeros((0, settings.mel_bands), np.float32)]
    for block in recording_blocks(path, settings.sample_rate_hz, progress=False):
        samples += len(block)
        held.append(stream.push(block))
        if sum(map(len, held)) >= most:
            joined = np.concatenate(held)
            yield joined[:most]
            held = [joined[most:]]
    last = np.concatenate([*held, stream.finish(-(-samples // settings.hop))])
    if len(last):
        yield last
