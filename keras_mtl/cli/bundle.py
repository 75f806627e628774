"""`keras_mtl bundle`: writes the firmware folder of artifacts that pass the emulator, and checks such a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import (
    PATH,
    engines_option,
    json_option,
    load_network,
    network_options,
    print_result,
    runtime_option,
    timeout_option,
)

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact import Artifact


@click.command("bundle")
@click.argument("artifacts", nargs=-1, metavar="[ARTIFACT...]")
@click.option("--target", metavar="NAME_OR_FILE", help="A board, as stm32h743, or a TOML file of yours.")
@click.option("--out", type=PATH, metavar="DIR", help="The folder to write.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="What a network is called in C, one for each ARTIFACT in their order.  [default: from its part or file]",
)
@click.option(
    "--as",
    "component",
    type=click.Choice(("zephyr", "esp-idf", "arduino", "platformio", "cmake")),
    help="Lay it out as a drop-in component of this build system, with a microphone example.",
)
@click.option(
    "--model-version",
    type=click.IntRange(0, 0xFFFFFFFF),
    help="With --as: grows with each model that is sent over the air.  [default: 1]",
)
@engines_option
@runtime_option
@timeout_option
@network_options
@click.option("--sign", "key", type=PATH, metavar="KEY", help="Also sign it: an Ed25519 key, PEM (extra `sign`).")
@click.option("--verify", type=PATH, metavar="DIR", help="Instead of writing: hold a bundle against its manifest.")
@click.option("--public-key", type=PATH, metavar="KEY", help="With --verify: it must be signed by this key's owner.")
@json_option
def command(
    artifacts: tuple[str, ...],
    target: str | None,
    out: Path | None,
    names: tuple[str, ...],
    component: str | None,
    model_version: int | None,
    engines: tuple[str, ...],
    runtime: str,
    timeout_s: float,
    hop_s: float | None,
    signature: str | None,
    key: Path | None,
    verify: Path | None,
    public_key: Path | None,
    as_json: bool,
) -> None:
    """Check each ARTIFACT (a .tflite file, or a streaming one's folder) on all interpreters; write the firmware folder.

    The folder holds the networks as C arrays with their exact operator resolvers, settings, portable C for what
    surrounds them, golden data and a self-test, CMakeLists.txt, a bill of materials, a manifest with the hash of every
    file, and a README that says what to do with each. What fails the target is refused with exit status 1, and nothing
    is written. Several artifacts get a sub-folder each, and go into one firmware. Of a streaming artifact the C takes
    samples for as long as there are some, and gives scenes and events.

    Names of C functions, macros and arrays begin with the artifact's part and format, or for a file that keras_mtl did
    not make, or two that would be called the same, with the name of the file or folder; --name gives another.

    With --runtime c99 the networks are C themselves, with the same functions around them: no interpreter, no C++, no
    allocation, and results equal to TensorFlow Lite Micro's to the bit. A layer that there is no C for is named.

    With --as, the folder is a Zephyr module, an ESP-IDF component, a library of Arduino or PlatformIO, or a CMake
    project: one header to include, an example that predicts from a microphone where the artifact streams, and an image
    of the networks that an updater may write into a partition.

    With --verify, a folder is held against its manifest, and files that were changed, are missing or were added are
    named. Exit status 1: there are some, or the signature is not the key's.

    \b
    Examples:
      keras_mtl bundle scenes.int8.tflite --target stm32h743 --out firmware
      keras_mtl bundle joint.int8/ --target stm32h743 --out firmware --sign key.pem
      keras_mtl bundle scenes.int8.tflite scenes.int16x8.tflite --target my_board.toml --out firmware --json
      keras_mtl bundle joint.int8/ --target nrf52840 --runtime c99 --out firmware
      keras_mtl bundle kws.tflite vad.tflite --target stm32h743 --out firmware --name wake --name voice
      keras_mtl bundle joint.int8/ --target esp32-s3 --out components/sounds --as esp-idf --name sounds
      keras_mtl bundle --verify firmware --public-key key.pub
    """
    if verify is not None:
        if artifacts or target or out or key or names or component or model_version is not None:
            raise click.UsageError("--verify takes a folder and nothing else but --public-key and --json")
        _verify(verify, public_key, as_json)
        return
    if public_key is not None:
        raise click.UsageError("--public-key belongs to --verify; --sign takes the private key")
    if not artifacts or target is None or out is None:
        missing = [name for name, there in (("ARTIFACT", artifacts), ("--target", target), ("--out", out)) if not there]
        raise click.UsageError(f"missing: {', '.join(missing)} (or --verify DIR)")
    if component is None and model_version is not None:
        raise click.UsageError("--model-version belongs to --as")
    if component is not None and len(artifacts) > 1:
        raise click.UsageError("--as takes one ARTIFACT: write a component for each")
    loaded = [(path, load_network(path, hop_s, signature)) for path in artifacts]
    _write(loaded, target, out, names, (component, model_version), engines, runtime, timeout_s, key, as_json)


def _write(
    loaded: list[tuple[str, Artifact]],
    target: str,
    out: Path,
    names: tuple[str, ...],
    laid_out: tuple[str | None, int | None],
    engines: tuple[str, ...],
    runtime: str,
    timeout_s: float,
    key: Path | None,
    as_json: bool,
) -> None:
    from keras_mtl.firmware_host.bundle import bundle_names, require_free, write_bundle
    from keras_mtl.firmware_host.bundle.release import load_private_key
    from keras_mtl.firmware_host.emulate import emulate
    from keras_mtl.firmware_host.targets import load_target

    held_against = load_target(target)
    called = bundle_names([(artifact, path) for path, artifact in loaded], names)
    require_free(out)
    private_key = None if key is None else load_private_key(key)
    checked = []
    for path, artifact in loaded:
        click.echo(f"checking {path} for {held_against.name}", err=True)
        report = emulate(artifact, held_against, engines, path=path, timeout_s=timeout_s, runtime=runtime)
        checked.append((artifact, report))
    component, version = laid_out
    version = 1 if version is None else version
    bundle = write_bundle(checked, out, timeout_s, private_key, called, runtime, component or "", version)
    print_result(
        bundle.to_dict(), as_json, lambda: [f"bundle   {bundle.path}", *(f"  {file}" for file in bundle.files)]
    )


def _verify(folder: Path, public_key: Path | None, as_json: bool) -> None:
    from keras_mtl.firmware_host.bundle import verify_bundle

    found = verify_bundle(folder, public_key)
    document = found.to_dict()
    lines = [f"bundle     {folder}   ({found.files} files)"]
    lines += [f"  {difference.what:<10} {difference.path!r}" for difference in found.differences]
    lines += [f"signature  {found.signature}", f"verdict    {document['verdict']}"]
    print_result(document, as_json, lambda: lines)
    if not found.passed:
        raise click.exceptions.Exit(1)
