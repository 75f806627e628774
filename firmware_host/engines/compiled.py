"""Opens files as the C that a firmware has of them, compiled by this machine's C compiler. Imported in a worker."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.c99 import CNetwork, c_networks, kernel_texts, memory_bytes, networks_texts
from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Port

_FLAGS = ("-std=c99", "-O2", "-shared", "-fPIC")
_NAME, _FILE = "network", "all_networks"


def open_compiled(request: dict[str, Any]) -> dict[str, OpenMember]:
    """Compiles the members of a request, as `request.make_request` makes it, and opens them.

    Raises:
        EngineRefused: an operator that there is no C for, or no compiler.
    """
    folder, entries = Path(request["folder"]), request["members"]
    models = {
        f"member{number}": flatbuffer.read_model((folder / entry["file"]).read_bytes())
        for number, entry in enumerate(entries.values())
    }
    networks = c_networks(_NAME, models)
    library = _library(networks, folder / "c99")
    memory = (ctypes.c_uint64 * (memory_bytes(networks) // 8))()
    getattr(library, f"{_NAME}_start")()
    return {
        name: _opened(library, memory, number, network, ports_of(entry["inputs"]), ports_of(entry["outputs"]))
        for number, (network, (name, entry)) in enumerate(zip(networks, entries.items(), strict=True))
    }


def ports_of(listed: list[dict[str, Any]]) -> tuple[Port, ...]:
    """The ports of a request's member."""
    return tuple(Port(**{**port, "shape": tuple(port["shape"])}) for port in listed)


def _library(networks: list[CNetwork], folder: Path) -> ctypes.CDLL:
    compiler = shlex.split(os.environ.get("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise EngineRefused(f"c99 needs a C compiler, and {compiler[0]} is not there", "install gcc, or name one by CC")
    path = folder / "networks.so"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        texts = networks_texts(_NAME, _FILE, networks) | kernel_texts()
        for file, text in texts.items():
            (folder / file).write_text(text, "utf-8")
        sources = [file for file in texts if file.endswith(".c")]
        command = [*compiler, *_FLAGS, *sources, "-o", path.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
            raise EngineRefused(f"{compiler[0]} does not compile the generated C: {said}")
    return ctypes.CDLL(str(path))


def _opened(
    library: ctypes.CDLL,
    memory: ctypes.Array[ctypes.c_uint64],
    number: int,
    network: CNetwork,
    inputs: tuple[Port, ...],
    outputs: tuple[Port, ...],
) -> OpenMember:
    run = getattr(library, f"{_NAME}_run")

    def invoke(arrays: list[np.ndarray]) -> list[np.ndarray]:
        for values, port in zip(arrays, inputs, strict=True):
            if (values.dtype, values.shape) != (np.dtype(port.dtype), port.shape):
                raise ValueError(
                    f"input {port.name} of {list(values.shape)} {values.dtype}, not {list(port.shape)} {port.dtype}"
                )
        given = [np.ascontiguousarray(values) for values in arrays]
        made = [np.empty(port.shape, port.dtype) for port in outputs]
        ends = [(ctypes.c_void_p * len(each))(*(values.ctypes.data for values in each)) for each in (given, made)]
        if run(memory, number, *ends):
            raise RuntimeError("the generated C has no such network")
        return made

    return OpenMember(invoke, inputs, outputs, lambda: network.memory.size_bytes)
