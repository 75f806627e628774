"""All stations one after the other: train, quantize, convert, emulate, bundle, predict."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from keras_mtl.core import Column, Html, RunError, Table, files
from keras_mtl.datasets import open_corpus
from keras_mtl.features import event_set
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import mark, report_html
from keras_mtl.inference import predict, run_predictor
from keras_mtl.plots import plot_timeline
from keras_mtl.recipes import Recipe
from keras_mtl.runs import Run
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.quantize import quantize
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
    done("quantize")
    made = {kind: convert(runs.get(kind, run), "scenes", kind) for kind in ("float32", "float16", *SCHEMES)}
    paths = {kind: artifact.save(folder / "artifacts" / f"scenes.{kind}.tflite") for kind, artifact in made.items()}
    done("convert")
    reports: dict[str, dict[str, Report]] = {}
    for kind, artifact in made.items():
        reports[kind] = {t: emulate(artifact, load_target(t), path=place(paths[kind])) for t in TARGETS}
        for target, report in reports[kind].items():
            report.save(folder / "reports" / f"scenes.{kind}.{target}.json")
        files.write_text(folder / "reports" / f"scenes.{kind}.html", report_html(list(reports[kind].values())))
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
    done("emulate")
    passed = [(made[scheme], reports[scheme][BOARD]) for scheme in SCHEMES if reports[scheme][BOARD].passed]
    if passed:
        document["firmware"] = place(write_bundle(passed, folder / "firmware").path)
    done("bundle")
    picture = _predict_one_clip(run, corpus, folder, cache)
    document["timeline"] = place(picture)
    done("predict")
    document["report"] = place(files.write_text(folder / "report.html", demo_page(document, reports, picture)))
    document["content_sha256"] = _content_sha256(folder)
    return document


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


def _predict_one_clip(run: Run, corpus: Any, out: Path, cache: Path) -> Path:
    """Predicts the evaluation clip with the most events, and draws that against the truth."""
    clips = event_set(corpus, "validation", run.settings, cache)
    chosen = int(np.argmax([len(events) for events in clips.events]))
    name = str(clips.filenames[chosen])
    audio = next(e["audio"] for e in corpus.events["validation"] if str(e["filename"]) == name)
    sound = out / "soundscape.wav"
    soundfile.write(sound, audio, run.settings.sample_rate_hz)
    return plot_timeline(predict(run_predictor(run), sound), out / "timeline.png", clips.events[chosen])


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-size: 14px; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #dde3ea; }
.passed { color: #11703a; font-weight: 600; } .failed { color: #b3261e; font-weight: 600; }
img { max-width: 100%; }
"""


def demo_page(document: dict[str, Any], reports: dict[str, dict[str, Report]], picture: Path) -> str:
    """The page."""
    metrics = document["run"]["metrics"]
    encoded = base64.b64encode(picture.read_bytes()).decode()
    body = [
        "<h1>keras_mtl demo</h1>",
        "<h2>Prediction of one clip</h2>",
        f'<img alt="log-mel, event probabilities and events of one clip" src="data:image/png;base64,{encoded}">',
        "<h2>Figures on the evaluation split</h2>",
        _table(("", "float", *document["quantized"]), _figures(metrics, document["quantized"])),
        "<h2>Artifacts held against their targets</h2>",
        _table(
            ("format", "target", "verdict", "parameter bytes", "arena bytes", "parity in LSB", "why"), _rows(reports)
        ),
        "<h2>Seconds of each stage</h2>",
        _table(document["seconds"], [[f"{seconds:.0f}" for seconds in document["seconds"].values()]]),
    ]
    head = f'<meta charset="utf-8"><title>keras_mtl demo</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{"".join(body)}\n</body></html>\n'


def _figures(metrics: dict[str, Any], quantized: dict[str, Any]) -> Iterable[Sequence[str]]:
    rows = [("scene accuracy", "scenes", "accuracy"), ("scene log loss", "scenes", "log_loss")]
    rows += [("event F1", "events", "event_f1_macro"), ("PSDS1", "events", "psds1"), ("PSDS2", "events", "psds2")]
    for title, task, key in rows:
        sources = [metrics, *(entry["metrics"] for entry in quantized.values())]
        yield [title, *(f"{source[task][key]:.3f}" if task in source else "" for source in sources)]


def _rows(reports: dict[str, dict[str, Report]]) -> Iterable[Sequence[str]]:
    for kind, by_target in reports.items():
        for target, report in by_target.items():
            checks = [report.check(name) for name in ("parameter_bytes", "arena_bytes", "parity_lsb")]
            values = ["" if c is None or c.value is None else f"{c.value:,}" for c in checks]
            link = Html(f'<a href="reports/scenes.{escape(kind)}.html">{escape(kind)}</a>')
            yield [link, target, mark(report.passed, report.verdict), *values, report.failures()]


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    return Table([Column(title, place) for place, title in enumerate(columns)], list(rows)).html()
