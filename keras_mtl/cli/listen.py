"""`keras_mtl listen`: scenes and events of streaming sound."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import engine_option

if TYPE_CHECKING:
    import numpy as np

    from keras_mtl.firmware_host.engines import LiveSession
    from keras_mtl.predictors import JsonView, TextView

#: Share of the newest block in the load that is shown.
_NEWEST = 0.1


@click.command("listen")
@click.argument("source", required=False, metavar="[FILE|-]")
@click.option(
    "--model", "model", required=True, metavar="ARTIFACT", help="Folder of a streaming artifact, or its artifact.json."
)
@click.option(
    "--device", metavar="N", help="Sound card: its number or a part of its name. [default: the system's choice]"
)
@engine_option
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.001),
    default=60.0,
    metavar="SECONDS",
    help="For the interpreter's start, and for each block of sound.",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each scene and event, as it becomes known.")
def command(source: str | None, model: str, device: str | None, engine: str, timeout_s: float, as_json: bool) -> None:
    """Predict by a streaming ARTIFACT while sound comes: what the scene is, and which events begin and end.

    The sound is that of FILE, of the standard input with "-" (a WAV file, or raw samples of 16 bits, one channel, at
    the artifact's rate), or of a sound card, which needs the extra `listen`. It goes through the front end, the
    networks and the decoders as it would on a device, in constant memory. Press Ctrl-C to stop.

    \b
    Examples:
      keras_mtl listen --model joint.int8/
      keras_mtl listen --model joint.int8/ --device 3
      keras_mtl listen street.wav --model joint.int8/ --json
      ffmpeg -i talk.mp3 -f s16le -ac 1 -ar 16000 - | keras_mtl listen - --model joint.int8/
    """
    if source is not None and device is not None:
        raise click.UsageError("--device takes a sound card, and FILE or - another source: give one of them")
    from keras_mtl.firmware_host.engines import LiveSession
    from keras_mtl.predictors import JsonView, TextView, from_device, from_file, from_stream, require_own
    from keras_mtl.tflite.artifact import Artifact

    artifact = Artifact.load(model)
    require_own(artifact, model)
    artifact.wiring.stream  # noqa: B018  refuses an artifact that takes clips before the engine starts
    rate_hz = artifact.facts.features.sample_rate_hz
    if source is None:
        blocks = from_device(device, rate_hz)
    elif source == "-":
        blocks = from_stream(sys.stdin.buffer, rate_hz)
    else:
        blocks = from_file(Path(source), rate_hz)
    view = JsonView(sys.stdout) if as_json else TextView(sys.stdout, sys.stdout.isatty())
    with LiveSession(engine, artifact, timeout_s) as live:
        _listen(live, blocks, view, rate_hz)


def _listen(live: LiveSession, blocks: Iterator[np.ndarray], view: JsonView | TextView, rate_hz: int) -> None:
    samples, busy_s, load, interrupted = 0, 0.0, 0.0, False
    try:
        for block in blocks:
            update = live.push(block)
            samples += len(block)
            busy_s += update.busy_s
            load += _NEWEST * (update.busy_s * rate_hz / max(1, len(block)) - load)
            view.show(update, samples / rate_hz, load)
    except KeyboardInterrupt:
        interrupted = True  # the way to stop a sound card, and at once: no silence follows
    update = live.finish() if interrupted else live.end_recording()
    view.show(update, samples / rate_hz, load)
    view.end(samples / rate_hz, (busy_s + update.busy_s) * rate_hz / samples if samples else 0.0)
