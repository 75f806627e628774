"""`keras_mtl convert`: a run folder to an artifact, one `.tflite` file or the folder of a streaming artifact."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import PATH, json_option, print_result, quiet_tensorflow
from keras_mtl.core import ArtifactError
from keras_mtl.tflite.qat import FORMATS

_FIGURES = ("sha256", "file_bytes", "parameter_bytes", "macs_per_second")


@click.command("convert")
@click.argument("run", type=PATH, metavar="RUN_OR_TWIN")
@click.option(
    "--part", type=click.Choice(["scenes", "events", "joint", "encoder"]), default="scenes", help="Part of the network."
)
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), help="Number format of the artifact; a twin's is its own."
)
@click.option("--out", required=True, type=PATH, metavar="FILE_OR_DIR", help="Where to write it.")
@click.option(
    "--schedule",
    type=click.Choice(["clip", "stream"]),
    help="One inference for each clip, or step by step without a pause.  [default: stream for events and joint in "
    "integers, else clip]",
)
@click.option(
    "--scene-hop",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Of a stream: steps of its encoder from one call of the scene decoder to the next.  [default: 5]",
)
@click.option(
    "--event-hop",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Of a stream: steps from one pass of a bidirectional event decoder over its ring to the next.  "
    "[default: 23 of 25 parts of the ring]",
)
@click.option("--hop-s", type=click.FloatRange(min=0, min_open=True), help="Of a twin: seconds between two inferences.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=600, help="Seconds.")
@json_option
def command(
    run: Path,
    part: str,
    kind: str | None,
    out: Path,
    schedule: str | None,
    scene_hop: int | None,
    event_hop: int | None,
    hop_s: float | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Convert a part of RUN to an artifact: .tflite files with a manifest and golden data.

    float32 and float16 come from any run that was trained on the part, int8 and int16x8 from one that was quantized to
    that scheme.

    The scene part is one file of a clip of audio, by default a second. The event part in float is one file of a clip,
    by default ten seconds, with loops, which LiteRT runs and microcontrollers don't. FILE_OR_DIR is a name that ends in
    .tflite, or a folder, where the file is called PART.FORMAT.tflite; the manifest and golden data lie beside it.

    In integers the event part and the joint part are streaming artifacts, and with --schedule stream the scene part is
    one, too: a folder with the encoder a step at a time and, behind a ring of embeddings, the scene decoder, the cells
    and classifiers of the event decoder, or both; artifact.json says how a device runs them. It is FILE_OR_DIR itself
    or, where that holds something already, the folder PART.FORMAT in it.

    The part "encoder" is one file: a few frames and the layers' states in, one embedding and the next states out.

    A .keras file that `keras_mtl quantize MODEL.keras` wrote becomes one file, and --hop-s says how often it will run.

    \b
    Examples:
      keras_mtl convert twin.keras --out model.int8.tflite
      keras_mtl convert runs/real --format float16 --out artifacts/
      keras_mtl convert runs/real --part events --format float32 --out artifacts/
      keras_mtl convert runs/real-int8 --part scenes --format int8 --out scenes.int8.tflite
      keras_mtl convert runs/real-int8 --schedule stream --format int8 --out scenes.int8
      keras_mtl convert runs/real-joint --part joint --format int8 --out artifacts/
      keras_mtl convert runs/real-joint --part encoder --format int8 --out encoder.int8.tflite
    """
    if run.suffix == ".keras":
        _convert_twin(run, out, hop_s, as_json)
        return
    if kind is None:
        raise click.UsageError("Missing option '--format'.")
    from keras_mtl.runs import Run
    from keras_mtl.tflite.artifact import MANIFEST, UNKNOWN, Artifact
    from keras_mtl.tflite.convert import convert, schedule_of

    schedule = schedule or schedule_of(part, kind)
    if schedule == "stream" and out.suffix == ".tflite":
        raise click.UsageError("a streaming artifact is a folder; --part encoder makes one file")
    name = f"{part}.{kind}"
    file = out if out.suffix == ".tflite" else out / f"{name}.tflite"
    if schedule == "clip" and file != out and file.exists() and Artifact.load(file).facts.part == UNKNOWN:
        raise ArtifactError(f"{file} is there, and was not converted here", hint="move it, or name another file")
    hops = {"scene_hop": scene_hop, "event_hop": event_hop}
    made = convert(Run.load(run), part, kind, schedule, **hops, timeout_s=timeout_s)
    if made.streams:
        path = made.save(out / name if out.is_dir() and any(out.iterdir()) else out) / MANIFEST
        listed = [(path.parent / made.manifest["members"][each.name]["file"], each) for each in made.members.values()]
    else:
        path = made.save(file)
        listed = [(path, made.network)]
    totals = {key: made.manifest[key] for key in ("parameter_bytes", "macs_per_second")}
    totals |= {"buffer_bytes": sum(made.manifest.get("buffers", {}).values())}
    document = {
        "schema": "keras_mtl.convert/2",
        "path": str(path),
        "part": part,
        "format": kind,
        "schedule": made.wiring.schedule.kind,
        **totals,
        "artifacts": [{"path": str(file), **{key: each.manifest[key] for key in _FIGURES}} for file, each in listed],
    }

    def lines() -> list[str]:
        buffers = f", {totals['buffer_bytes']:,} of buffers" if made.streams else ""
        figures = f"{totals['parameter_bytes']:,} of parameters{buffers}, {totals['macs_per_second'] / 1e6:.3f} M"
        files = [f"{file}   {len(each.content):,} bytes" for file, each in listed if made.streams]
        return [*files, f"{path}   {made.file_bytes:,} bytes, {figures} MACs per second"]

    print_result(document, as_json, lines)


def _convert_twin(path: Path, out: Path, hop_s: float | None, as_json: bool) -> None:
    """The file of a quantized functional model."""
    if out.suffix != ".tflite":
        raise click.UsageError("a twin becomes one file: --out NAME.tflite")
    quiet_tensorflow()
    from keras_mtl.qat import convert_file

    made = convert_file(path, hop_s)
    file = made.save(out)
    figures = {key: made.manifest[key] for key in _FIGURES}
    document = {"schema": "keras_mtl.convert_twin/1", "path": str(file), "format": made.facts.format, **figures}
    line = (
        f"{file}   {made.file_bytes:,} bytes, {figures['parameter_bytes']:,} of parameters, {made.network.macs:,} MACs"
    )
    print_result(document, as_json, lambda: [line])
