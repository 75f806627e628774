"""A bundle's files as a component: sources below `src/NAME`, what is for people and PCs in `extras`, an example."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.components.image import image_texts, interface_digest, model_image
from keras_mtl.firmware_host.components.kinds import KINDS, kind_texts
from keras_mtl.firmware_host.components.parts import Parts, static_source

_SOURCES = (".c", ".cc", ".h")
#: Programs and build files of the bundle: a component has its own.
_LEFT_OUT = {"CMakeLists.txt", "Makefile", "selftest_main.c", "listener_main.c", "listener_main.cc"}
#: The folder of the static sources.
_STATIC = "kmtl"
#: Kinds whose example runs without an operating system.
_WITHOUT_SYSTEM = {"arduino", "platformio", "cmake"}
#: What PlatformIO takes.
_MOST_CHARACTERS = 50
_MOST_VERSION = 0xFFFFFFFF
IMAGE = "extras/model.kmtlimg"


def component_files(
    kind: str, name: str, files: Mapping[str, bytes], models: Sequence[bytes], version: int = 1
) -> dict[str, bytes]:
    """Content of all files of a component, by path.

    Args:
        kind: one of `KINDS`.
        name: of the bundle in C.
        files: of the bundle, without its manifest.
        models: content of the `.tflite` files, in the order of the networks' numbers.
        version: of the model, for swapping it over the air.

    Raises:
        ArtifactError: an unknown kind, a name that is too long for the build systems, or a version out of range.
    """
    if kind not in KINDS:
        raise ArtifactError(f"no component as {kind!r}", hint=f"there are {', '.join(KINDS)}")
    if len(name) > _MOST_CHARACTERS:
        raise ArtifactError(f"{name} is too long for a component", hint="give a shorter one by --name")
    if kind == "arduino" and name.startswith("arduino"):
        raise ArtifactError(f"{name} is a name of Arduino's own libraries", hint="give another one by --name")
    if not 0 <= version <= _MOST_VERSION:
        raise ArtifactError(f"{version} is no version of a model", hint="a number from 0 to 4294967295")
    kept = {path: content for path, content in files.items() if path not in _LEFT_OUT}
    sources = {path: content for path, content in kept.items() if path.endswith(_SOURCES)}
    extras = {_extra(path): content for path, content in kept.items() if path not in sources}
    header = next(path for path in sources if re.fullmatch(r"\w+_networks\.h", path))
    swaps = f"{name}_start_with(".encode() in sources[header]
    streams = "listener.h" in sources
    added: dict[str, str] = {}
    if swaps:
        interface = interface_digest(sources)
        extras[IMAGE] = model_image(models, interface, version)
        added |= image_texts(name, interface, version)
        added |= {f"{_STATIC}/{file}": static_source(file) for file in ("kmtl_image.h", "kmtl_image.c")}
    if streams and kind in _WITHOUT_SYSTEM:
        added |= {f"{_STATIC}/{file}": static_source(file) for file in ("kmtl_audio_queue.h", "kmtl_audio_queue.c")}
    parts = Parts(name, (), streams, f"{_STATIC}/kmtl_tflm.h" in sources, len(extras.get(IMAGE, b"")), version)
    if streams:
        added |= _predictor(parts, sources["listener.h"].decode())
    sources |= {path: text.encode() for path, text in added.items()}
    # Arduino's specification names .c, .cpp and .S.
    ending = ".cpp" if kind == "arduino" else ".cc"
    settled = relative_includes(sources).items()
    placed = {f"src/{name}/{re.sub(r'[.]cc$', ending, path)}": text for path, text in settled}
    compiled = tuple(sorted(path for path in placed if not path.endswith(".h")))
    parts = Parts(**{**vars(parts), "sources": compiled})
    placed[f"src/{name}.h"] = _face(name, [header, *_headers(sources)]).encode()
    texts = kind_texts(kind, parts)
    return {**placed, **extras, **{path: text.encode() for path, text in texts.items()}}


def relative_includes(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same sources, with the path of each quoted file from where it is included: no include folder is needed."""

    def settled(path: str) -> bytes:
        folder = posixpath.dirname(path)

        def place(found: re.Match[bytes]) -> bytes:
            wanted = found[1].decode()
            for base in (folder, "", _STATIC):
                there = posixpath.normpath(posixpath.join(base, wanted))
                if there in sources:
                    return f'#include "{posixpath.relpath(there, folder or ".")}"'.encode()
            return found[0]

        return re.sub(rb'#include "([^"]+)"', place, sources[path])

    return {path: settled(path) for path in sources}


def _extra(path: str) -> str:
    return f"extras/{'BUNDLE.md' if path == 'README.md' else path}"


def _headers(sources: Mapping[str, bytes]) -> list[str]:
    """What an application includes beside the header of the networks."""
    wanted = ("model_settings.h", "listener.h", "predictor.h", "image.h", "kmtl/kmtl_audio_queue.h", "selftest.h")
    return [path for path in wanted if path in sources]


def _face(name: str, headers: Sequence[str]) -> str:
    included = "\n".join(f'#include "{name}/{header}"' for header in headers)
    guard = f"KERAS_MTL_{name.upper()}_H_"
    return f"""/* All of {name} for an application.
 * Generated by keras_mtl; do not edit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef {guard}
#define {guard}

{included}

#endif /* {guard} */
"""


def _predictor(parts: Parts, listener: str) -> dict[str, str]:
    """`predictor.h` and `.c`; `listener`: the text of its header, which has the labels."""
    prefix = parts.name.upper()
    tasks = [task for task in ("scenes", "events") if f"#define {prefix}_{task.upper()}_LABELS " in listener]
    lines = [f"  static const char *const {task}[] = {prefix}_{task.upper()}_LABELS;" for task in tasks]
    both = "(heard->kind == KMTL_HEARD_SCENE) ? scenes[heard->label] : events[heard->label]"
    lines += ["", f"  return {both if len(tasks) > 1 else f'{tasks[0]}[heard->label]'};"]
    swapped = parts.image_bytes > 0
    about = "\n * models  files of the networks instead of the firmware's, as kmtl_image_open() finds them, or NULL."
    words = {
        "models_parameter": ", const unsigned char *const *models" if swapped else "",
        "models_about": about if swapped else "",
        "start": f"{parts.name}_start_with(models)" if swapped else f"{parts.name}_start()",
        "labels": "\n".join(lines),
    }
    return {f"predictor.{end}": parts.filled(f"predictor.{end}.in", **words) for end in ("h", "c")}
