"""Compiles the C of a bundle with the tests' programs, for this machine and for an emulated Cortex-M, and runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import LogMelSettings
from keras_mtl.firmware_host.bundle.text import log_mel_tables

HERE = Path(__file__).parent
_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-Wdouble-promotion")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
#: The features of each kind of system whose FFT the front end has, and odd ones: an odd window, mel filters over a
#: part of the band, few bands; a hop of more than a window.
KINDS = {
    "mt": LogMelSettings(),
    "baseline_asc": LogMelSettings(
        sample_rate_hz=44_100, window=1764, fft=2048, hop=882, mel_bands=40, keep_last_frame=True
    ),
    "cp_mobile": LogMelSettings(
        sample_rate_hz=32_000, window=3072, fft=4096, hop=500, mel_bands=256, keep_last_frame=True
    ),
    "baseline_sed": LogMelSettings(hop=256, keep_last_frame=True),
    "odd": LogMelSettings(window=401, fft=512, hop=200, mel_bands=17, low_hz=125.0, high_hz=7_500.0),
    "sparse": LogMelSettings(window=256, fft=256, hop=331, mel_bands=24, keep_last_frame=True),
}
#: Of the inputs that `run log_mel` writes after the levels (run.c).
SCALINGS = {"int8": (np.float32(2.5), np.float32(12.25)), "int16": (np.float32(700.5), np.float32(-33.0))}


@dataclass(frozen=True)
class Core:
    """What a program is compiled for.

    Attributes:
        name: of the core.
        compiler: the compiler with its options.
        machine: QEMU's machine that emulates it; empty for this machine.
        extra: options for the linker besides.
    """

    name: str
    compiler: tuple[str, ...]
    machine: str = ""
    extra: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Programs that it needs and this machine lacks."""
        needed = [self.compiler[0], *(["qemu-system-arm"] if self.machine else [])]
        return [name for name in needed if not shutil.which(name)]


_CORTEX = ("--specs=rdimon.specs", "-nostartfiles", f"-T{HERE}/cortex_m/mps.ld", f"{HERE}/cortex_m/start.c")
HOST = Core("host", ("gcc", "-O2"))
SANITIZED = Core(
    "host with sanitizers", ("gcc", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
)
CORTEX_M4F = Core(
    "Cortex-M4F",
    ("arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "mps2-an386",
    _CORTEX,
)
CORTEX_M55 = Core(
    "Cortex-M55", ("arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"), "mps3-an547", _CORTEX
)
_FIXED = "-DKMTL_LOG_MEL_FIXED=1"
#: The fixed-point front end. Cores without a floating-point unit have no other.
HOST_FIXED = Core("host, fixed point", (*HOST.compiler, _FIXED))
SANITIZED_FIXED = Core("host with sanitizers, fixed point", (*SANITIZED.compiler, _FIXED))
CORTEX_M4F_FIXED = Core("Cortex-M4F, fixed point", (*CORTEX_M4F.compiler, _FIXED), CORTEX_M4F.machine, _CORTEX)
CORTEX_M55_FIXED = Core("Cortex-M55, fixed point", (*CORTEX_M55.compiler, _FIXED), CORTEX_M55.machine, _CORTEX)
#: The code of an M0+ on the M4's machine: QEMU has no board with an M0+, and the M4 runs its instructions.
CORTEX_M0 = Core(
    "Cortex-M0+",
    ("arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m0plus", "-mthumb", "-masm-syntax-unified"),
    "mps2-an386",
    _CORTEX,
)
FIXED = (HOST_FIXED, SANITIZED_FIXED, CORTEX_M4F_FIXED, CORTEX_M55_FIXED, CORTEX_M0)
CORTEX_M = (CORTEX_M4F, CORTEX_M55)
ALL = (HOST, SANITIZED, *CORTEX_M)


def require(core: Core) -> None:
    """Skips a test where the tools for a core are not there; fails it where `make test-firmware` asks for them."""
    missing = core.missing
    if missing:
        reason = f"{core.name} needs {' and '.join(missing)}; `make test-firmware` gets what it may"
        (pytest.fail if os.environ.get("REQUIRE_FIRMWARE_TOOLS") else pytest.skip)(reason)


@dataclass(frozen=True)
class Program:
    """A program, compiled."""

    core: Core
    path: Path

    def run(self, *arguments: str, cwd: Path, icount: bool = False, timeout_s: float = 300.0) -> str:
        """Runs it to its end; gives what it printed.

        Args:
            arguments: without spaces and commas: files by names relative to `cwd`.
            cwd: the folder that it runs in.
            icount: whether the emulator's clock counts instructions: 1 ns each.
            timeout_s: limit.
        """
        command = [str(self.path), *arguments]
        if self.core.machine:
            # The first argument is the program's name, as everywhere.
            semihosting = ",".join(["enable=on", "target=native", *(f"arg={text}" for text in ["run", *arguments])])
            command = ["qemu-system-arm", "-M", self.core.machine, "-display", "none", "-monitor", "none"]
            command += ["-serial", "none", *(["-icount", "shift=0"] if icount else [])]
            command += ["-semihosting-config", semihosting, "-kernel", str(self.path)]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, f"{self.core.name}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout + done.stderr


class Builder:
    """Compiles programs for one core."""

    def __init__(self, core: Core, folder: Path) -> None:
        self._core, self._folder, self._programs = core, folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        write_kinds(folder)

    def program(
        self, source: Path, *options: str, kinds: Sequence[str] = tuple(KINDS), bundle: Path | None = None
    ) -> Program:
        """A program from one source file, the C of the bundle with the tables of some kinds, and what they need.

        Args:
            source: has `main`.
            options: for the compiler.
            kinds: of features.
            bundle: a whole bundle instead, whose C is taken as it lies there, but for its `main`.
        """
        self._programs += 1
        path = self._folder / f"{source.stem}-{self._programs}"
        if bundle is None:
            others = [*c_sources(), *(self._folder / f"{kind}_tables.c" for kind in kinds)]
            include = [c_folder(), self._folder]
        else:
            others = [other for other in sorted(bundle.rglob("*.c")) if not other.name.endswith("_main.c")]
            include = [bundle, bundle / "kmtl"]
        sources = [str(each) for each in (source, *others)]
        linked = [*self._core.extra, "-lm", "-Wl,--gc-sections", "-o", str(path)]
        self._compile(*_STRICT, *options, *(f"-I{each}" for each in include), *sources, *linked)
        return Program(self._core, path)

    def _compile(self, *arguments: str) -> None:
        command = [*self._core.compiler, *_SECTIONS, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def c_folder() -> Path:
    """The folder of a bundle's C."""
    return Path(str(resources.files("keras_mtl.firmware_host.bundle") / "c"))


def c_sources() -> list[Path]:
    """The C of a bundle."""
    return sorted(c_folder().glob("*.c"))


def write_kinds(folder: Path) -> None:
    """Tables of all kinds, and `kinds.h`, which lists them for `run.c`."""
    for kind, settings in KINDS.items():
        for name, text in log_mel_tables(settings, "test", kind).items():
            (folder / name).write_text(text)
    lines = [
        "#ifndef KINDS_H_",
        "#define KINDS_H_",
        *(f'#include "{kind}_tables.h"' for kind in KINDS),
        f"#define KINDS {len(KINDS)}u",
        f"#define MOST_WINDOW {max(settings.window for settings in KINDS.values())}",
        f"#define MOST_SCRATCH {max(2 * settings.fft for settings in KINDS.values())}",
        f"#define MOST_BANDS {max(settings.mel_bands for settings in KINDS.values())}",
        "static const struct {\n  const char *name;\n  const kmtl_log_mel_tables_t *tables;\n} kinds[KINDS] = {",
        *(f'    {{"{kind}", &{kind}_tables}},' for kind in KINDS),
        "};",
        "#endif",
    ]
    (folder / "kinds.h").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Hearing:
    """One input of `run log_mel`: int16 samples, the kind of features, samples of a clip (0: all are one clip)."""

    kind: str
    samples: np.ndarray
    clip: int = 0


def hear(program: Program, folder: Path, *hearings: Hearing, seed: int = 0, as_float: bool = False) -> list[np.ndarray]:
    """Frames of the C front end: for each input a structured array with `levels` (dB), `int8` and `int16`."""
    arguments = ["log_mel", str(seed), "float" if as_float else "int16"]
    for number, hearing in enumerate(hearings):
        hearing.samples.astype("<i2").tofile(folder / f"samples_{number}")
        arguments += [hearing.kind, str(hearing.clip), f"samples_{number}", f"frames_{number}"]
    program.run(*arguments, cwd=folder)
    found = []
    for number, hearing in enumerate(hearings):
        bands = KINDS[hearing.kind].mel_bands
        row = np.dtype([("levels", "<f4", bands), ("int8", "i1", bands), ("int16", "<i2", bands)])
        found.append(np.fromfile(folder / f"frames_{number}", row))
    return found
