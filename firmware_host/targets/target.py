"""What an artifact is held against: a budget (limits on the file alone) or a board (a chip and what is free of it).

A target is a TOML file. Those that ship with the package go by their names; a path to a file of one's own works the
same. Wrong, missing and unknown fields are named.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from keras_mtl.core import TargetError, read, read_bytes
from keras_mtl.firmware_host.targets.kernel_library import (
    KERNEL_BUILDS,
    KERNEL_VERSIONS,
    KernelBuild,
    kernel_builds,
    library_words,
)

Size = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(pattern=r"\S")]
Share = Annotated[float, Meta(ge=0, le=1)]
Ends = tuple[Annotated[float, Meta(gt=0)], Annotated[float, Meta(gt=0)]]
_MOST_BYTES = 1 << 20
_BOARD_FIELDS = (
    "core clock_hz flash_bytes ram_bytes arena_ram_bytes application_flash_bytes application_ram_bytes kernels "
    "audio_latency_s"
)
_NEEDED = {"budget": (), "board": tuple(_BOARD_FIELDS.split())}
#: What is assumed or measured here for every target, and belongs into a report only where a target says otherwise.
_ASSUMED = ("parity_probability", "events_differ_fraction", "interpreter_code_bytes", "compute_share")
#: Ranges, which begin with the lower end.
_RANGES = ("flash_cycles_per_byte", "energy_nj_per_cycle")


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
        kernels: kernel family of the firmware: "cmsis-nn", "esp-nn" or "reference". A file may name version and build
            with it, as "cmsis-nn 7.0 -O2".
        kernels_version: of that library, as "7.0"; None: scratch memory is planned for the version that asks for the
            most.
        kernels_build: how it is built, one of `KERNEL_BUILDS`; None: "-O2".
        compute_share: part of the core that an artifact may take; the rest is the application's.
        front_end: how the log-mel is computed, "float" or "fixed"; None: in floating point where the core has such a
            unit, else in fixed point if that is known.
        flash_cycles_per_byte: cycles of the core for a byte of weights from a flash outside the chip, least and most;
            None: weights come at the speed at which the kernels were measured.
        energy_nj_per_cycle: nanojoules for a cycle of the core at work, least and most; None: those of a measured board
            of the same core, if there is one.
        interpreter_code_bytes: code of the interpreter and its kernels in flash; None for an estimate by operators
            (`compute.code_parts`).
        arena_reserve_bytes: what the arena is given beyond its plan; None: 16 bytes for each operator, by which its
            record may be larger in another version of TensorFlow Lite Micro.
        audio_latency_s: longest that the application lets a sound wait for its result: an artifact that needs longer
            stretches of audio, or longer to compute, is refused.
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
    kernels_build: Literal["-O2", "-Os", "arduino"] | None = None
    compute_share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    front_end: Literal["float", "fixed"] | None = None
    flash_cycles_per_byte: Ends | None = None
    energy_nj_per_cycle: Ends | None = None
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

    @property
    def library(self) -> str:
        """The kernel library in words, as "cmsis-nn 7.0 -O2"."""
        return " ".join(filter(None, (self.kernels or "reference", self.kernels_version, self.kernels_build)))

    def with_kernels(self, kernels: str) -> Target:
        """The same target with other kernels, in the build that the figures are of.

        `kernels`: a family as of the field, or what no file may name: "c99" or "x-cube-ai".
        """
        return replace(self, kernels=kernels, kernels_version=None, kernels_build=None)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, as plain values for JSON; those that are assumed, where they are not as usual."""
        usual = {key: getattr(Target, key) for key in _ASSUMED}
        found = {k: v for k, v in asdict(self).items() if v is not None and not (k in usual and v == usual[k])}
        return found | {key: list(found[key]) for key in _RANGES if key in found}


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
    values = _with_library_split(where, values)
    target = read(Target, values, f"target {where}", TargetError)
    missing = [key for key in _NEEDED[target.kind] if key not in values]
    if missing:
        hint = f"a {target.kind} needs {', '.join(missing)}"
        raise TargetError(f"target {where}: {missing[0]} is missing", hint=hint)
    if target.is_board:
        _require_sense(where, target, values)
    return target


def _with_library_split(where: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values with version and build, where `kernels` names them, under their own keys."""
    if not isinstance(values.get("kernels"), str) or not values["kernels"].strip():
        return values
    found = library_words(values["kernels"])
    twice = [key for key in found if key != "kernels" and key in values]
    if twice:
        raise TargetError(f"target {where}: {twice[0]} is in kernels = {values['kernels']!r} too", hint="name it once")
    if found.get("kernels_build") not in (None, *KERNEL_BUILDS):
        hint = f"builds are {', '.join(KERNEL_BUILDS)}; or leave it out"
        raise TargetError(f"target {where}: the build {found['kernels_build']!r} in kernels is not known", hint=hint)
    return values | found


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
    for field in _RANGES:
        least, most = getattr(target, field) or (0, 0)
        if least > most:
            raise TargetError(f"target {where}: {field} begins with its most, {least:g} to {most:g}")
    known = KERNEL_VERSIONS[str(target.kernels)]
    if target.kernels_version is not None and target.kernels_version not in known:
        named = f"versions of {target.kernels} are {', '.join(known)}" if known else f"{target.kernels} has none"
        found = f"kernels_version = {target.kernels_version!r} is not known"
        raise TargetError(f"target {where}: {found}", hint=f"{named}; or leave it out")
