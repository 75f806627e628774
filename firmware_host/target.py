"""What an artifact is held against: a budget (limits on the file alone) or a board (a chip and what is free of it).

A target is a TOML file. Those that ship with the package go by their names; a path to a file of one's own works the
same. Wrong, missing and unknown fields are named.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from keras_mtl.errors import TargetError
from keras_mtl.files import read_bytes

KINDS = ("budget", "board")
KERNELS = ("cmsis-nn", "esp-nn", "reference")
_MOST_BYTES = 1 << 20
_BOARD_FIELDS = (
    "core clock_hz flash_bytes ram_bytes arena_ram_bytes application_flash_bytes application_ram_bytes kernels "
    "audio_latency_s"
)
_NEEDED = {"budget": (), "board": tuple(_BOARD_FIELDS.split())}


@dataclass(frozen=True)
class Target:
    """Limits that an artifact is held against. None: no limit of that kind.

    Attributes:
        name, description: for reports.
        kind: "budget" or "board".
        parameter_bytes: most bytes of constants.
        macs_per_second: most multiply-accumulates for one second of audio.
        parity_lsb: largest difference allowed between engines, in units of the output's last place.
        core: processor core, as "cortex-m7".
        clock_hz: highest clock.
        flash_bytes: flash in all; `application_flash_bytes` of it are the application's.
        ram_bytes: RAM in all, in whatever number of regions.
        arena_ram_bytes: the contiguous region that the tensor arena lies in; `application_ram_bytes` of that region are
            the application's.
        kernels: kernel family of the firmware: "cmsis-nn", "esp-nn" or "reference".
        audio_latency_s: longest that the application lets a sound wait for its result, computing time not counted: an
            artifact that needs longer stretches of audio is refused.
    """

    name: str
    kind: str
    description: str = ""
    parameter_bytes: int | None = None
    macs_per_second: int | None = None
    parity_lsb: int = 2
    core: str | None = None
    clock_hz: int | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    arena_ram_bytes: int | None = None
    application_flash_bytes: int | None = None
    application_ram_bytes: int | None = None
    kernels: str | None = None
    audio_latency_s: float | None = None

    @property
    def is_board(self) -> bool:
        """Whether a firmware has to run there, so that TensorFlow Lite Micro must take the model."""
        return self.kind == "board"

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, as plain values for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}


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

    Args:
        content: the text.
        where: what to call it in messages.

    Raises:
        TargetError: naming the field that is wrong, missing or unknown.
    """
    try:
        values = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"target {where} is not valid TOML: {error}") from None
    kind = values.get("kind")
    if kind not in KINDS:
        raise TargetError(f"target {where}: field kind is {kind!r}", hint='it must be "budget" or "board"')
    types = {field.name: str(field.type) for field in fields(Target)}
    for key, value in values.items():
        if key not in types:
            close = difflib.get_close_matches(key, types, n=1, cutoff=0.5)
            raise TargetError(f"target {where}: unknown field {key}", hint=f"did you mean {close[0]}?" if close else "")
        _require_type(where, key, value, types[key])
    missing = [key for key in ("name", *_NEEDED[kind]) if key not in values]
    if missing:
        raise TargetError(f"target {where}: missing field {missing[0]}", hint=f"a {kind} needs {', '.join(missing)}")
    target = Target(**values)
    if target.is_board:
        _require_sense(where, target)
    return target


def _require_type(where: str, key: str, value: Any, type_name: str) -> None:
    if type_name.startswith("str"):
        if not isinstance(value, str) or not value.strip():
            raise TargetError(f"target {where}: field {key} is {value!r}", hint="it must be a text")
    # bool is an int in Python, but not here.
    elif type_name.startswith("float"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise TargetError(f"target {where}: field {key} is {value!r}", hint="it must be a number of more than 0")
    elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TargetError(f"target {where}: field {key} is {value!r}", hint="it must be a whole number, not negative")


def _require_sense(where: str, target: Target) -> None:
    if target.kernels not in KERNELS:
        raise TargetError(
            f"target {where}: field kernels is {target.kernels!r}", hint=f"it must be one of {', '.join(KERNELS)}"
        )
    if not target.clock_hz:
        raise TargetError(f"target {where}: field clock_hz is 0", hint="it must be the highest clock, in Hz")
    for part, whole in (
        ("application_flash_bytes", "flash_bytes"),
        ("arena_ram_bytes", "ram_bytes"),
        ("application_ram_bytes", "arena_ram_bytes"),
    ):
        if getattr(target, part) > getattr(target, whole):
            raise TargetError(f"target {where}: field {part} is more than {whole}")
