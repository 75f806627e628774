"""All stations one after the other: train, quantize, convert, emulate, bundle, listen."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from keras_mtl.core import RunError, files
from keras_mtl.datasets import open_corpus
from keras_mtl.demo.page import demo_page
from keras_mtl.features import event_set
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html
from keras_mtl.inference import Prediction, predict, run_predictor
from keras_mtl.plots import plot_timeline
from keras_mtl.predictors import predict_stream
from keras_mtl.recipes import Recipe
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.quantize import quantize
from keras_mtl.training import train

TARGETS = ("dcase-asc", "stm32h743")
SCHEMES = ("int8", "int16x8")
#: For the streaming artifact of both tasks; the first that holds it gets the firmware.
BOARDS = ("stm32h743", "stm32u585", "nrf52840")
JOINT = "joint.int8"
_MARKER = "demo.json"
SCHEMA = "keras_mtl.demo/1"


def run_demo(recipe: Recipe, data: str, out: Path, cache: Path) -> dict[str, Any]:
    """Runs the main job and writes everything into one folder.

    Args:
        recipe: how to train.
        data: the data, "soundscapes" for the embedded ones.
        out: the folder, written whole or not at all; one that is as an earlier demo left it is replaced, any other that
            holds something is refused.
        cache: where prepared data are kept.

    Returns:
        Paths and figures of every stage, with the schema `keras_mtl.demo/1`.

    Raises:
        RunError: `out` holds something that is not a demo's.
    """
    if not files.is_free(out) and not _as_a_demo_left_it(out):
        raise RunError(
            f"{out} holds something that no demo wrote, or that was changed since", hint="name another --out"
        )
    with files.new_folder(out, ours=_as_a_demo_left_it) as folder:
        document = _run_stages(recipe, data, out, folder, cache)
        files.write_json(folder / _MARKER, document)
    return document


def _run_stages(recipe: Recipe, data: str, out: Path, folder: Path, cache: Path) -> dict[str, Any]:
    """Writes every stage's results into `folder`, and lists them by the paths that they will have in `out`."""
    started = time.monotonic()
    document: dict[str, Any] = {"schema": SCHEMA, "out": str(out), "seconds": {}}

    def place(path: Path) -> str:
        return str(out / path.relative_to(folder))

    def done(stage: str) -> None:
        document["seconds"][stage] = round(time.monotonic() - started - sum(document["seconds"].values()), 1)
        print(f"{stage}: {document['seconds'][stage]:.0f} s", file=sys.stderr)

    rate_hz = recipe.features.sample_rate_hz
    corpus = open_corpus(data, cache / "tfds", sample_rate_hz=rate_hz, settings=recipe.data, labels=recipe.labels)
    run = train(recipe, corpus, folder / "run", cache)
    document["data"] = corpus.stamp
    document["run"] = {"path": place(run.path), "metrics": run.info["metrics"]}
    done("train")
    runs = {scheme: quantize(run, scheme, corpus, folder / f"run-{scheme}", cache) for scheme in SCHEMES}
    document["quantized"] = {
        scheme: {"path": place(qat.path), "metrics": qat.info["metrics"]} for scheme, qat in runs.items()
    }
    both = quantize(run, SCHEMES[0], corpus, folder / "run-joint", cache, "joint", epochs=0)
    document["quantized"]["joint"] = {"path": place(both.path), "metrics": both.info["metrics"]}
    done("quantize")
    made = {kind: convert(runs.get(kind, run), "scenes", kind) for kind in ("float32", "float16", *SCHEMES)}
    paths = {kind: artifact.save(folder / "artifacts" / f"scenes.{kind}.tflite") for kind, artifact in made.items()}
    joint = convert(both, "joint", SCHEMES[0])
    joint_path = joint.save(folder / "artifacts" / JOINT)
    done("convert")
    reports = {
        kind: _reports(artifact, TARGETS, place(paths[kind]), folder, f"scenes.{kind}")
        for kind, artifact in made.items()
    }
    on_boards = _reports(joint, BOARDS, place(joint_path), folder, JOINT)
    document["artifacts"] = {
        kind: {
            "path": place(paths[kind]),
            "sha256": made[kind].manifest["sha256"],
            "file_bytes": made[kind].manifest["file_bytes"],
            "verdicts": {target: report.verdict for target, report in reports[kind].items()},
            "checks": {c.name: c.value for t in TARGETS for c in reports[kind][t].checks},
        }
        for kind in made
    }
    document["joint"] = {
        "path": place(joint_path),
        "boards": {board: {"verdict": report.verdict, "why": report.failures()} for board, report in on_boards.items()},
    }
    done("emulate")
    board = next((board for board, report in on_boards.items() if report.passed), None)
    if board:
        document["firmware"] = place(write_bundle([(joint, on_boards[board])], folder / "firmware").path)
    done("bundle")
    heard, picture = _hear_one_clip(run, joint, corpus, folder, cache)
    document["timeline"], document["heard"] = place(picture), heard.to_dict() | {"file": place(heard.path)}
    done("listen")
    page = demo_page(document, reports, on_boards, picture.read_bytes())
    document["report"] = place(files.write_text(folder / "report.html", page))
    document["content_sha256"] = _content_sha256(folder)
    return document


def _reports(artifact: Artifact, targets: Sequence[str], path: str, folder: Path, name: str) -> dict[str, Report]:
    """Holds an artifact against targets, and writes a report for each and one page for all."""
    reports = {target: emulate(artifact, load_target(target), path=path) for target in targets}
    for target, report in reports.items():
        report.save(folder / "reports" / f"{name}.{target}.json")
    files.write_text(folder / "reports" / f"{name}.html", report_html(list(reports.values())))
    return reports


def _as_a_demo_left_it(out: Path) -> bool:
    """Whether a folder holds what a demo wrote, to the byte, and nothing else."""
    try:
        known = json.loads((out / _MARKER).read_text(encoding="utf-8"))["content_sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return known == _content_sha256(out)


def _content_sha256(folder: Path) -> str:
    """Over the names and the content of all that is in a folder, but for the document that keeps this."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path != folder / _MARKER:
            content = (
                os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            )
            digest.update(os.fsencode(path.relative_to(folder)) + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _hear_one_clip(run: Run, joint: Artifact, corpus: Any, out: Path, cache: Path) -> tuple[Prediction, Path]:
    """Lets the streaming artifact hear the evaluation clip with the most events, as a device would.

    Returns:
        What it heard, and a picture of that beside the float network and the truth.
    """
    clips = event_set(corpus, "validation", run.settings, cache)
    chosen = int(np.argmax([len(events) for events in clips.events]))
    name = str(clips.filenames[chosen])
    audio = next(e["audio"] for e in corpus.events["validation"] if str(e["filename"]) == name)
    sound = out / "soundscape.wav"
    soundfile.write(sound, audio, run.settings.sample_rate_hz)
    heard = predict_stream(joint, sound, engine="tflm", picture=False)
    others = {"int8, streaming": [event for event, _ in heard.events]}
    network = predict(run_predictor(run), sound)
    return heard, plot_timeline(network, out / "timeline.png", clips.events[chosen], "float network", others)
