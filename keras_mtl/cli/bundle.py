"""`keras_mtl bundle`: writes the firmware folder of artifacts that pass the emulator."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import answer, json_option


@click.command("bundle")
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT...")
@click.option("--target", required=True, metavar="NAME_OR_FILE", help="A board, as stm32h743, or a TOML file of yours.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The folder to write.")
@json_option
def command(artifacts: tuple[str, ...], target: str, out: Path, as_json: bool) -> None:
    """Check each ARTIFACT (.tflite) on all interpreters and write the firmware folder.

    The folder holds the model as a C array, the exact operator resolver, settings, golden vectors, a manifest with the
    hash of every file, and a README that says what to do with each. An artifact that fails the target is refused with
    exit status 1, and nothing is written. Several artifacts get a sub-folder each.

    \b
    Examples:
      keras_mtl bundle scenes.int8.tflite --target stm32h743 --out firmware
      keras_mtl bundle scenes.int8.tflite scenes.int16x8.tflite --target my_board.toml --out firmware --json
    """
    from keras_mtl.errors import KerasMtlError
    from keras_mtl.firmware_host.bundle import write_bundle
    from keras_mtl.firmware_host.emulator import emulate
    from keras_mtl.firmware_host.target import load_target
    from keras_mtl.tflite.artifact import Artifact

    held_against = load_target(target)
    loaded = [(path, Artifact.load(path)) for path in artifacts]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise KerasMtlError(f"{out} is there and is not an empty folder", hint="give another --out")
    checked = []
    for path, artifact in loaded:
        click.echo(f"checking {path} for {held_against.name}", err=True)
        checked.append((artifact, emulate(artifact, held_against, path=path)))
    bundle = write_bundle(checked, out)
    answer(bundle.to_dict(), as_json, lambda: [f"bundle   {bundle.path}", *(f"  {file}" for file in bundle.files)])
