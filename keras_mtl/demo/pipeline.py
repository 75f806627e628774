"""All stations one after the other: train, quantize, convert, emulate, bundle, predict."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from keras_mtl import files
from keras_mtl.datasets.corpus import open_corpus
from keras_mtl.demo.page import demo_page
from keras_mtl.errors import RunError
from keras_mtl.feature_sets import event_set
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.emulator import emulate
from keras_mtl.firmware_host.html import report_html
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.target import load_target
from keras_mtl.network_listener import listen_with_run
from keras_mtl.plots import plot_timeline
from keras_mtl.prediction import predict
from keras_mtl.recipes import Recipe
from keras_mtl.run_folder import Run
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.quantize_run import quantize_run
from keras_mtl.training import train

TARGETS = ("dcase-asc", "stm32h743")
BOARD = "stm32h743"
SCHEMES = ("int8", "int16x8")
_MARKER = "demo.json"
SCHEMA = "keras_mtl.demo/1"


def run_demo(recipe: Recipe, data: str, out: Path, cache: Path) -> dict[str, Any]:
    """Runs the main job and writes everything into one folder.

    Args:
        recipe: how to train.
        data: the data, "soundscapes" for the embedded ones.
        out: the folder; one that an earlier demo wrote is replaced, any other that holds something is refused.
        cache: where prepared data are kept.

    Returns:
        Paths and figures of every stage, with the schema `keras_mtl.demo/1`.

    Raises:
        RunError: `out` holds something that is not a demo's.
    """
    _make_room(out)
    started = time.monotonic()
    document: dict[str, Any] = {"schema": SCHEMA, "out": str(out), "seconds": {}}

    def done(stage: str) -> None:
        document["seconds"][stage] = round(time.monotonic() - started - sum(document["seconds"].values()), 1)
        print(f"{stage}: {document['seconds'][stage]:.0f} s", file=sys.stderr)

    rate_hz, subset = recipe.features.sample_rate_hz, recipe.data.scene_subset
    corpus = open_corpus(data, cache / "tfds", sample_rate_hz=rate_hz, scene_subset=subset)
    run = train(recipe, corpus, out / "run", cache)
    document["data"] = corpus.stamp
    document["run"] = {"path": str(run.path), "metrics": run.info["metrics"]}
    done("train")
    runs = {scheme: quantize_run(run, scheme, corpus, out / f"run-{scheme}", cache) for scheme in SCHEMES}
    document["quantized"] = {
        scheme: {"path": str(qat.path), "metrics": qat.info["metrics"]} for scheme, qat in runs.items()
    }
    done("quantize")
    made = {kind: convert(runs.get(kind, run), "scenes", kind) for kind in ("float32", "float16", *SCHEMES)}
    paths = {kind: artifact.save(out / "artifacts" / f"scenes.{kind}.tflite") for kind, artifact in made.items()}
    done("convert")
    reports: dict[str, dict[str, Report]] = {}
    for kind, artifact in made.items():
        reports[kind] = {t: emulate(artifact, load_target(t), path=str(paths[kind])) for t in TARGETS}
        for target, report in reports[kind].items():
            report.save(out / "reports" / f"scenes.{kind}.{target}.json")
        files.write_text(out / "reports" / f"scenes.{kind}.html", report_html(list(reports[kind].values())))
    document["artifacts"] = {
        kind: {
            "path": str(paths[kind]),
            "sha256": made[kind].manifest["sha256"],
            "file_bytes": made[kind].manifest["file_bytes"],
            "verdicts": {target: report.verdict for target, report in reports[kind].items()},
            "checks": {c.name: c.value for t in TARGETS for c in reports[kind][t].checks},
        }
        for kind in made
    }
    done("emulate")
    passed = [(made[scheme], reports[scheme][BOARD]) for scheme in SCHEMES if reports[scheme][BOARD].passed]
    if passed:
        document["firmware"] = str(write_bundle(passed, out / "firmware").path)
    done("bundle")
    document["timeline"] = str(_hear_one_clip(run, corpus, out, cache))
    done("predict")
    document["report"] = str(files.write_text(out / "report.html", demo_page(document, reports)))
    files.write_json(out / _MARKER, document)
    return document


def _make_room(out: Path) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / _MARKER).is_file() and not (out / "run" / "recipe.toml").is_file():
        raise RunError(f"{out} holds something that no demo wrote", hint="name another folder with --out")
    shutil.rmtree(out)


def _hear_one_clip(run: Run, corpus: Any, out: Path, cache: Path) -> Path:
    """Predicts the evaluation clip with the most events, and draws that against the truth."""
    clips = event_set(corpus, "validation", run.settings, cache)
    chosen = int(np.argmax([len(events) for events in clips.events]))
    name = str(clips.filenames[chosen])
    audio = next(e["audio"] for e in corpus.events["validation"] if str(e["filename"]) == name)
    sound = out / "soundscape.wav"
    soundfile.write(sound, audio, run.settings.sample_rate_hz)
    return plot_timeline(predict(listen_with_run(run), sound), out / "timeline.png", clips.events[chosen])
