"""`keras_mtl data listen`: one recording, what is known of it, and a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from keras_mtl.cli.options import PATH, json_option, print_result, quiet_tensorflow


@click.command("listen")
@click.argument("clip", type=PATH)
@click.option("--plot", type=PATH, metavar="FILE", help="A picture of it: .png, .svg or .pdf.")
@click.option(
    "--labels",
    type=PATH,
    metavar="FILE",
    help="A table or a label track (Audacity) with its labels, instead of the folder's.",
)
@click.option("--model", type=PATH, metavar="RUN_OR_TFLITE", help="Also what this run or artifact predicts.")
@json_option
def command(clip: Path, plot: Path | None, labels: Path | None, model: Path | None, as_json: bool) -> None:
    """Look at one recording: format, level, labels, and waveform, log-mel and labels in one picture.

    Labels are those of the TAU or DESED folder or the folder of own sounds that the clip lies in, or those of a file.

    \b
    Examples:
      keras_mtl data listen desed/audio/validation/validation/Y1.wav --plot clip.png
      keras_mtl data listen kitchen.wav --labels labels.txt
      keras_mtl data listen kitchen.wav --labels mine.tsv --model runs/real --plot clip.png
    """
    quiet_tensorflow()
    from keras_mtl.core import LogMelSettings
    from keras_mtl.datasets.tables import labels_of
    from keras_mtl.decoding import Event
    from keras_mtl.inference import predict
    from keras_mtl.plots import look_at, plot_clip
    from keras_mtl.predictors import open_predictor

    known = labels_of(clip, labels)
    predictor = open_predictor(model) if model is not None else None
    view = look_at(clip, predictor.settings if predictor is not None else LogMelSettings())
    prediction = predict(predictor, clip, picture=False, progress=True) if predictor is not None else None
    truth = [Event(*event) for event in known.events] if known is not None else []
    if plot is not None:
        rows = [("labels", truth)] if truth else []
        rows += [("predicted", [event for event, _ in prediction.events])] if prediction and prediction.events else []
        words = [f"scene {known.scene}"] if known is not None and known.scene else []
        words += [f"in it {', '.join(known.weak)}"] if known is not None and known.weak else []
        words += [f"predicted {prediction.scene}"] if prediction and prediction.scene else []
        plot_clip(view, plot, rows, "".join(f", {word}" for word in words))
    document: dict[str, Any] = {
        "schema": "keras_mtl.clip/1",
        "file": str(clip),
        "container": view.format.container,
        "subtype": view.format.subtype,
        "sample_rate_hz": view.format.rate_hz,
        "channels": view.format.channels,
        "duration_s": round(view.format.seconds, 6),
        "peak_dbfs": round(view.peak_dbfs, 2) if math.isfinite(view.peak_dbfs) else None,
        "rms_dbfs": round(view.rms_dbfs, 2) if math.isfinite(view.rms_dbfs) else None,
        "warnings": list(view.warnings),
        "labels": None,
        "heard": prediction.to_dict() if prediction else None,
        "plot": str(plot) if plot is not None else None,
    }
    if known is not None:
        events = [{"onset_s": e.onset_s, "offset_s": e.offset_s, "label": e.label} for e in truth]
        document["labels"] = {"table": str(known.table), "scene": known.scene or None, "device": known.device or None,
                              "recording": known.recording or None, "events": events, "weak": known.weak}  # fmt: skip
    print_result(document, as_json, lambda: _lines(document))


def _lines(found: dict[str, Any]) -> list[str]:
    level = "silence" if found["peak_dbfs"] is None else f"peak {found['peak_dbfs']} dBFS, rms {found['rms_dbfs']} dBFS"
    lines = [
        f"{found['file']}",
        f"  format  {found['container']} {found['subtype']}, {found['sample_rate_hz']} Hz, {found['channels']} ch",
        f"  length  {found['duration_s']:.3f} s",
        f"  level   {level}",
        *(f"  warning {warning}" for warning in found["warnings"]),
    ]
    labels = found["labels"]
    if labels is None:
        lines.append("  labels  none known: no data folder with labels for it, and no --labels")
    else:
        lines.append(f"  labels  {labels['table']}")
        lines += [f"    {key}  {labels[key]}" for key in ("scene", "device", "recording") if labels[key]]
        lines += [f"    {e['onset_s']:6.2f} - {e['offset_s']:6.2f} s  {e['label']}" for e in labels["events"]]
        lines += [f"    in it  {label}" for label in labels["weak"]]
    prediction = found["heard"]
    if prediction is not None:
        lines.append("  predicted" + (f"  scene {prediction['scene']}" if prediction["scene"] else ""))
        lines += [f"    {e['onset_s']:6.2f} - {e['offset_s']:6.2f} s  {e['label']}" for e in prediction["events"] or []]
    return lines + ([f"  picture {found['plot']}"] if found["plot"] else [])
