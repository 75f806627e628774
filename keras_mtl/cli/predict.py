"""`keras_mtl predict`: the scene and the events of recordings."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import answer, json_option, quiet_tensorflow
from keras_mtl.errors import DataError


@click.command("predict")
@click.argument("audio", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, type=click.Path(path_type=Path), metavar="RUN_OR_TFLITE", help="A run folder or artifact."
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="A picture of it (one recording only).")
@json_option
def command(audio: tuple[Path, ...], model: Path, plot: Path | None, as_json: bool) -> None:
    """Hear recordings: the scene, and when which event happens.

    Any sound file that libsndfile reads, of any rate and number of channels.

    \b
    Examples:
      keras_mtl predict kitchen.wav --model runs/real --plot kitchen.png
      keras_mtl predict *.wav --model scenes.int8.tflite --json
    """
    if plot is not None and len(audio) > 1:
        raise DataError(f"--plot draws one recording, not {len(audio)}", hint="call it once for each")
    quiet_tensorflow()
    from keras_mtl.cli.listeners import open_listener
    from keras_mtl.prediction import predict

    listener = open_listener(model)
    predictions = [predict(listener, path) for path in audio]
    if plot is not None:
        from keras_mtl.plots import plot_timeline

        plot_timeline(predictions[0], plot)

    def lines() -> list[str]:
        out = []
        for heard in predictions:
            out.append(f"{heard.path}  {heard.duration_s:.1f} s")
            if heard.scene_scores:
                out.append(f"  scene  {heard.scene} ({heard.scene_scores[heard.scene or '']:.2f})")
            out += [f"  {e.onset_s:6.2f} - {e.offset_s:6.2f} s  {e.label} ({p:.2f})" for e, p in heard.events]
        return out

    document = {"schema": "keras_mtl.prediction/1", "files": [heard.to_dict() for heard in predictions]}
    answer(document, as_json, lines)
