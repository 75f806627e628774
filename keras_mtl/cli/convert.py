"""`keras_mtl convert`: a run folder to a `.tflite` artifact, or to a set of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import answer, json_option
from keras_mtl.tflite.scheme import FORMATS

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact_set import ArtifactSet

_FIGURES = ("sha256", "file_bytes", "parameter_bytes", "macs_per_second")


@click.command("convert")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--part",
    type=click.Choice(["scenes", "events", "joint", "stream", "stream-encoder"]),
    default="scenes",
    show_default=True,
    help="Part of the network.",
)
@click.option("--format", "kind", required=True, type=click.Choice(FORMATS), help="Number format of the file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE_OR_DIR", help="Where to write it.")
@click.option(
    "--scene-hop",
    "scene_hop_steps",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Of a streaming set: steps of its encoder from one call of the scene decoder to the next.  [default: 5]",
)
@click.option(
    "--event-hop",
    "event_hop_steps",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Of a streaming set: steps from one turn of a bidirectional event decoder over its ring to the next.  "
    "[default: 23 of 25 parts of the ring]",
)
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=600, show_default=True, help="Seconds.")
@json_option
def command(
    run: Path,
    part: str,
    kind: str,
    out: Path,
    scene_hop_steps: int | None,
    event_hop_steps: int | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Convert a part of RUN to a .tflite file with embedded metadata, a manifest and golden data beside it.

    float32 and float16 come from any run that was trained on the part, int8 and int16x8 from one that was quantized to
    that scheme. FILE_OR_DIR is a name that ends in .tflite, or a folder, where the file is called PART.FORMAT.tflite.

    The event part in float is one file of ten seconds with loops, which LiteRT runs and microcontrollers don't. In
    integers it is a set, as is the joint part: a folder with the encoder, the recurrent cells one step at a time, the
    classifiers, and set.json, which says how a device runs them. It is FILE_OR_DIR itself or, where that holds
    something already, the folder PART.FORMAT in it.

    The part "stream" hears without a pause. In integers it is a set: the encoder a step at a time and, behind a ring
    of embeddings, the scene decoder, the cells of the event decoder, or both, as the run was quantized.
    "stream-encoder" is the encoder alone, one file: a few frames and the layers' states in, one embedding and the next
    states out. In float "stream" is that file, too.

    \b
    Examples:
      keras_mtl convert runs/real --format float16 --out artifacts/
      keras_mtl convert runs/real --part events --format float32 --out artifacts/
      keras_mtl convert runs/real-int8 --part scenes --format int8 --out scenes.int8.tflite
      keras_mtl convert runs/real-joint --part joint --format int8 --out artifacts/
      keras_mtl convert runs/real-joint --part stream --format int8 --out artifacts/
      keras_mtl convert runs/real-joint --part stream-encoder --format int8 --out encoder.int8.tflite
    """
    from keras_mtl.run_folder import Run
    from keras_mtl.tflite.convert import convert
    from keras_mtl.tflite.convert_set import convert_set
    from keras_mtl.tflite.scheme import SCHEMES
    from keras_mtl.tflite.stream_convert import PART, convert_stream
    from keras_mtl.tflite.stream_set_convert import convert_stream_set

    loaded = Run.load(run)
    streams = part == PART and kind in SCHEMES
    hops = {"scene_hop": scene_hop_steps, "event_hop": event_hop_steps}
    if not streams and any(hops.values()):
        raise click.UsageError("--scene-hop and --event-hop belong to a streaming set: --part stream in integers")
    if streams and out.suffix == ".tflite":
        raise click.UsageError("a streaming set is a folder; --part stream-encoder makes one file")
    if streams:
        made = convert_stream_set(loaded, kind, **hops, timeout_s=timeout_s)
        _save_set(made, part, kind, out, as_json)
        return
    if part in ("events", "joint") and kind in SCHEMES:
        _save_set(convert_set(loaded, part, kind, timeout_s), part, kind, out, as_json)
        return
    alone = part in (PART, "stream-encoder")
    artifact = convert_stream(loaded, kind, timeout_s) if alone else convert(loaded, part, kind, timeout_s)
    path = artifact.save(out if out.suffix == ".tflite" else out / f"{part}.{kind}.tflite")
    figures = {key: artifact.manifest[key] for key in _FIGURES}
    document = {"schema": "keras_mtl.convert/1", "artifacts": [{"path": str(path), **figures}]}
    answer(
        document,
        as_json,
        lambda: [
            f"{path}   {figures['file_bytes']:,} bytes, {figures['parameter_bytes']:,} of parameters, "
            f"{figures['macs_per_second'] / 1e6:.3f} M MACs per second"
        ],
    )


def _save_set(made: ArtifactSet, part: str, kind: str, out: Path, as_json: bool) -> None:
    from keras_mtl.tflite.artifact_set import MANIFEST

    folder = made.save(out / f"{part}.{kind}" if out.is_dir() and any(out.iterdir()) else out)
    listed = [
        {"path": str(folder / made.manifest["members"][name]["file"])}
        | {key: artifact.manifest[key] for key in _FIGURES}
        for name, artifact in made.members.items()
    ]
    totals = {key: made.manifest[key] for key in ("parameter_bytes", "macs_per_second", "buffer_bytes")}
    document = {"schema": "keras_mtl.convert/1", "set": str(folder / MANIFEST), "artifacts": listed, **totals}
    answer(
        document,
        as_json,
        lambda: [
            *(f"{each['path']}   {each['file_bytes']:,} bytes" for each in listed),
            f"{folder / MANIFEST}   {totals['parameter_bytes']:,} bytes of parameters, "
            f"{totals['buffer_bytes']:,} of buffers, {totals['macs_per_second'] / 1e6:.3f} M MACs per second",
        ],
    )
