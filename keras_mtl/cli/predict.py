"""`keras_mtl predict`: the scene and the events of recordings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import PATH, json_option, print_result, quiet_tensorflow
from keras_mtl.core import SCENE_PREFIX, DataError, VerdictFailed, files
from keras_mtl.inference import FORMATS, SUFFIXES, formats, label_tracks

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

    Any sound file that libsndfile reads, of any length, rate and number of channels, and those that ffmpeg decodes,
    where it is installed (m4a, mp4 ...). Memory does not grow with the length. A streaming artifact takes it as a
    device would, from its start to its end.

    Of many recordings each result is written as it comes. Those that can't be read are named at the end, with exit
    status 1.

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

    if len(audio) == 1:
        audio_format(audio[0])  # before a network is loaded
    predictor = _predictor(model, plot is not None, scene_window_s)
    output = _Output(form, out, several=len(audio) > 1, as_json=as_json)
    try:
        for path in audio:
            try:
                output.add(predictor(path))
            except DataError as error:
                if len(audio) == 1:
                    raise
                output.failed[str(path)] = error
    finally:
        output.end()
    if plot is not None:
        from keras_mtl.plots import plot_timeline

        plot_timeline(output.predictions[0], plot)
    if output.failed:
        raise VerdictFailed(f"{len(output.failed)} of {len(audio)} recordings can't be predicted", hint="see above")


class _Output:
    """Writes predictions as they come, but for what is one document: that is written at the end, also of an interrupt.

    Attributes:
        predictions: those that came.
        failed: why there is none, by recording.
    """

    def __init__(self, form: str | None, out: Path | None, several: bool, as_json: bool) -> None:
        self._form, self._out, self._as_json = form, out, as_json
        self._in_folder = out is not None and form == "audacity" and (several or out.is_dir())
        self._tracks: list[Path] = []
        self.predictions: list[Prediction] = []
        self.failed: dict[str, DataError] = {}

    def add(self, found: Prediction) -> None:
        """Takes a prediction, and writes it, if it is no part of a document.

        Raises:
            DataError: its name can't be written.
        """
        text = formats.text([found], self._form) if self._form else ""
        if self._out is None and self._form in ("tsv", "audacity"):
            behind_others = self._form == "tsv" and self.predictions
            click.echo(text.partition("\n")[2] if behind_others else text, nl=False)
        elif self._out is None and self._form is None and not self._as_json:
            click.echo("\n".join(_lines(found)))
        elif self._out is not None and self._form == "audacity":
            place = label_tracks([found.path], self._out)[0] if self._in_folder else self._out
            self._tracks.append(files.write_text(place, text))
        sys.stdout.flush()
        self.predictions.append(found)
        for warning in found.warnings:
            click.echo(f"warning: {found.path}: {warning}", err=True)

    def end(self) -> None:
        """Writes the document, and names the recordings that failed."""
        if not (self.predictions or self.failed):
            return
        document = formats.document(self.predictions, {path: error.message for path, error in self.failed.items()})
        if self._out is not None:
            written = self._tracks
            if self._form != "audacity":
                text = formats.tsv(self.predictions) if self._form == "tsv" else files.to_json(document)
                written = [files.write_text(self._out, text)]
            names = [str(path) for path in written]
            print_result({**document, "written": names}, self._as_json, lambda: names)
        elif self._as_json or self._form == "json":
            print_result(document, True, list)
        for error in self.failed.values():
            click.echo(f"failed: {error}", err=True)


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


def _lines(found: Prediction) -> list[str]:
    out = [f"{found.path}  {found.duration_s:.1f} s"]
    if found.scene_scores:
        out.append(f"  scene  {found.scene} ({found.scene_scores[found.scene or '']:.2f})")
    course = [(at._replace(label=f"{SCENE_PREFIX}{at.label}"), score) for at, score in found.scenes]
    rows = [*found.events, *(course if len(course) > 1 else [])]
    return [
        *out,
        *(f"  {at.onset_s:6.2f} - {at.offset_s:6.2f} s  {at.label} ({score:.2f})" for at, score in sorted(rows)),
    ]
