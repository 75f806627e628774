"""`keras_mtl predict`: the scene and the events of recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import PATH, json_option, print_result, quiet_tensorflow
from keras_mtl.core import SCENE_PREFIX, DataError
from keras_mtl.inference import FORMATS, SUFFIXES, label_tracks

if TYPE_CHECKING:
    from keras_mtl.inference import Prediction


@click.command("predict")
@click.argument("audio", nargs=-1, required=True, type=PATH)
@click.option("--model", required=True, type=PATH, metavar="RUN_OR_TFLITE", help="A run folder or artifact.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Instead of lines for people: a table, JSON, or label tracks. Known by the ending of --out.",
)
@click.option(
    "--out",
    type=PATH,
    metavar="FILE_OR_DIR",
    help="Where to write that; a folder for the label tracks of several recordings.",
)
@click.option(
    "--scene-window",
    "scene_window_s",
    type=click.IntRange(min=1),
    default=10,
    metavar="SECONDS",
    help="Seconds whose mean is one step in the course of the scenes, rounded to whole scene clips.",
)
@click.option("--plot", type=PATH, metavar="FILE", help="A picture of it (one recording only).")
@json_option
def command(
    audio: tuple[Path, ...],
    model: Path,
    form: str | None,
    out: Path | None,
    scene_window_s: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Predict the scene of recordings, and when which event happens.

    Any sound file that libsndfile reads, of any length, rate and number of channels. Memory does not grow with the
    length. A streaming artifact takes it as a device would, from its start to its end.

    \b
    Examples:
      keras_mtl predict kitchen.wav --model runs/real --plot kitchen.png
      keras_mtl predict *.wav --model scenes.int8.tflite --json
      keras_mtl predict night.flac --model runs/real --out night.txt
      keras_mtl predict *.mp3 --model runs/real --format tsv --out events.tsv
      keras_mtl predict night.flac --model joint.int8/ --out events.txt
    """
    form = _checked(audio, form, out, plot, as_json)
    quiet_tensorflow()
    from keras_mtl.datasets.audio import audio_format
    from keras_mtl.inference import formats as prediction_formats

    for path in audio:  # before hours are spent on the others
        audio_format(path)
    predictor = _predictor(model, plot is not None, scene_window_s)
    predictions = [predictor(path) for path in audio]
    document = prediction_formats.document(predictions)
    written: list[Path] = []
    if form is not None and out is not None:
        written = prediction_formats.write(predictions, form, out)
        document["written"] = [str(path) for path in written]
    elif form is not None:
        click.echo(prediction_formats.text(predictions, form), nl=False)
    if plot is not None:
        from keras_mtl.plots import plot_timeline

        plot_timeline(predictions[0], plot)
    if form is None or out is not None:
        print_result(document, as_json, lambda: [str(path) for path in written] or _lines(predictions))


def _predictor(model: Path, picture: bool, scene_window_s: int) -> Callable[[Path], Prediction]:
    """The prediction of a recording: by a streaming artifact step by step, by anything else in windows."""
    from keras_mtl.tflite.artifact import Artifact, is_folder

    if is_folder(model):
        from keras_mtl.predictors import predict_stream

        artifact = Artifact.load(model)
        return lambda path: predict_stream(artifact, path, picture=picture, progress=True)
    from keras_mtl.inference import predict
    from keras_mtl.predictors import open_predictor

    predictor = open_predictor(model)
    return lambda path: predict(predictor, path, picture=picture, scene_window_s=scene_window_s, progress=True)


def _checked(
    audio: tuple[Path, ...], form: str | None, out: Path | None, plot: Path | None, as_json: bool
) -> str | None:
    """The format, if any, of options that go together."""
    if plot is not None and len(audio) > 1:
        raise DataError(f"--plot draws one recording, not {len(audio)}", hint="call it once for each")
    if out is None:
        if form is not None and as_json:
            raise click.UsageError("--format and --json both want the output: give --out as well")
        if form == "audacity" and len(audio) > 1:
            raise DataError(f"label tracks of {len(audio)} recordings need a folder", hint="--out DIR")
        return form
    form = form or SUFFIXES.get(out.suffix.lower())
    if form is None:
        raise click.UsageError(f"no format for {out}: give --format tsv, json or audacity")
    if form == "audacity" and len(audio) > 1 and (out.is_file() or out.suffix):
        raise DataError(f"label tracks of {len(audio)} recordings need a folder, and {out} names a file")
    if form != "audacity" and out.is_dir():
        raise DataError(f"{out} is a folder", hint="name a file")
    if form == "audacity" and (len(audio) > 1 or out.is_dir()):
        label_tracks(audio, out)  # what can't be written is refused before hours are spent
    return form


def _lines(predictions: list[Prediction]) -> list[str]:
    out = []
    for found in predictions:
        out.append(f"{found.path}  {found.duration_s:.1f} s")
        if found.scene_scores:
            out.append(f"  scene  {found.scene} ({found.scene_scores[found.scene or '']:.2f})")
        course = [(at._replace(label=f"{SCENE_PREFIX}{at.label}"), score) for at, score in found.scenes]
        rows = [*found.events, *(course if len(course) > 1 else [])]
        out += [f"  {at.onset_s:6.2f} - {at.offset_s:6.2f} s  {at.label} ({score:.2f})" for at, score in sorted(rows)]
    return out
