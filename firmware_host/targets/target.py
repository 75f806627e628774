"""What an artifact is held against: a budget (limits on the file alone) or a board (a chip and what is free of it).

A target is a TOML file. Those that ship with the package go by their names; a path to a file of one's own works the
same. Wrong, missing and unknown fields are named.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from keras_mtl.core import TargetError, read, read_bytes
from keras_mtl.firmware_host.targets.kernel_library import KERNEL_VERSIONS, KernelBuild, kernel_builds

Size = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(pattern=r"\S")]
Share = Annotated[float, Meta(ge=0, le=1)]
_MOST_BYTES = 1 << 20
_BOARD_FIELDS = (
    "core clock_hz flash_bytes ram_bytes arena_ram_bytes application_flash_bytes application_ram_bytes kernels "
    "audio_latency_s"
)
_NEEDED = {"budget": (), "board": tuple(_BOARD_FIELDS.split())}
#: What is assumed or measured here for every target, and belongs into a report only where a target says otherwise.
_ASSUMED = ("parity_probability", "events_differ_fraction", "interpreter_code_bytes")


@dataclass(frozen=True)
class Target:
    """Limits that an artifact is held against. None: no limit of that kind.

    Attributes:
        name, description: for reports.
        kind: "budget" or "board".
        parameter_bytes: most bytes of constants.
        macs_per_second: most multiply-accumulates for one second of audio.
        parity_lsb: largest difference allowed between engines, in units of the output's last place.
        parity_probability: largest difference allowed between a stream's event probabilities.
        events_differ_fraction: part of the events of the golden recording that may begin or end elsewhere: a
            probability can lie at the threshold. Above 0 one always may.
        core: processor core, as "cortex-m7".
        clock_hz: highest clock.
        flash_bytes: flash in all; `application_flash_bytes` of it are the application's.
        ram_bytes: RAM in all, in whatever number of regions.
        arena_ram_bytes: the contiguous region that the tensor arena lies in; `application_ram_bytes` of that region are
            the application's.
        kernels: kernel family of the firmware: "cmsis-nn", "esp-nn" or "reference".
        kernels_version: of that library, as "7.0"; None: scratch memory is planned for the version that asks for the
            most.
        interpreter_code_bytes: code of the interpreter and its kernels in flash; None for an estimate by operators
            (`compute.code_parts`).
        arena_reserve_bytes: what the arena is given beyond its plan; None: 16 bytes for each operator, by which its
            record may be larger in another version of TensorFlow Lite Micro.
        audio_latency_s: longest that the application lets a sound wait for its result, computing time not counted: an
            artifact that needs longer stretches of audio is refused.
    """

    name: Text
    kind: Literal["budget", "board"]
    description: str = ""
    parameter_bytes: Size | None = None
    macs_per_second: Size | None = None
    parity_lsb: Size = 2
    parity_probability: Share = 0.01
    events_differ_fraction: Share = 0.05
    core: Text | None = None
    clock_hz: Annotated[int, Meta(gt=0)] | None = None
    flash_bytes: Size | None = None
    ram_bytes: Size | None = None
    arena_ram_bytes: Size | None = None
    application_flash_bytes: Size | None = None
    application_ram_bytes: Size | None = None
    kernels: Literal["cmsis-nn", "esp-nn", "reference"] | None = None
    kernels_version: Text | None = None
    audio_latency_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    interpreter_code_bytes: Size | None = None
    arena_reserve_bytes: Size | None = None

    @property
    def is_board(self) -> bool:
        """Whether a firmware has to run there, so that TensorFlow Lite Micro must take the model."""
        return self.kind == "board"

    @property
    def kernel_builds(self) -> tuple[KernelBuild, ...]:
        """The builds of the kernel library that the firmware may have; reference kernels of a budget."""
        return kernel_builds(self.kernels or "reference", self.kernels_version, self.core)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, as plain values for JSON; those that are assumed, where they are not as usual."""
        usual = {key: getattr(Target, key) for key in _ASSUMED}
        return {k: v for k, v in asdict(self).items() if v is not None and not (k in usual and v == usual[k])}


def target_names() -> tuple[str, ...]:
    """Names of the targets that ship with the package."""
    folder = resources.files("keras_mtl.firmware_host.targets")
    return tuple(sorted(entry.name[: -len(".toml")] for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_target(name_or_file: str | Path) -> Target:
    """Reads a target.

    Args:
        name_or_file: a name of `target_names()`, or the path of a TOML file.

    Raises:
        TargetError: no such target (the nearest name is given), or a wrong, missing or unknown field.
    """
    wanted = str(name_or_file)
    names = target_names()
    if wanted in names:
        entry = resources.files("keras_mtl.firmware_host.targets") / f"{wanted}.toml"
        return read_target(entry.read_text("utf-8"), wanted)
    if not wanted.endswith(".toml"):
        close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}? " if close else ""
        raise TargetError(
            f"unknown target {wanted}", hint=f"{hint}targets are {', '.join(names)}, or the path of a .toml file"
        )
    try:
        content = read_bytes(wanted, _MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"can't read the target file {wanted}: {getattr(error, 'strerror', 'not UTF-8')}") from None
    return read_target(content, wanted)


def read_target(content: str, where: str) -> Target:
    """Reads a target from the text of a TOML file.

    Raises:
        TargetError: naming the field that is wrong, missing or unknown.
    """
    try:
        values = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"target {where} is not valid TOML: {error}") from None
    target = read(Target, values, f"target {where}", TargetError)
    missing = [key for key in _NEEDED[target.kind] if key not in values]
    if missing:
        hint = f"a {target.kind} needs {', '.join(missing)}"
        raise TargetError(f"target {where}: {missing[0]} is missing", hint=hint)
    if target.is_board:
        _require_sense(where, target, values)
    return target


def _require_sense(where: str, target: Target, given: Mapping[str, Any]) -> None:
    for part, whole in (
        ("application_flash_bytes", "flash_bytes"),
        ("arena_ram_bytes", "ram_bytes"),
        ("application_ram_bytes", "arena_ram_bytes"),
        ("interpreter_code_bytes", "flash_bytes"),
        ("arena_reserve_bytes", "arena_ram_bytes"),
    ):
        if part in given and getattr(target, part) > getattr(target, whole):
            raise TargetError(f"target {where}: {part} is more than {whole}")
    known = KERNEL_VERSIONS[str(target.kernels)]
    if target.kernels_version is not None and target.kernels_version not in known:
        named = f"versions of {target.kernels} are {', '.join(known)}" if known else f"{target.kernels} has none"
        found = f"kernels_version = {target.kernels_version!r} is not known"
        raise TargetError(f"target {where}: {found}", hint=f"{named}; or leave it out")
