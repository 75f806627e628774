"""`CMakeLists.txt` of a bundle: two libraries and the self-test, linked with what the firmware's author brings."""

from __future__ import annotations

from collections.abc import Iterable

from keras_mtl.firmware_host.bundle.source import filled
from keras_mtl.firmware_host.bundle.text.listener_source import EXAMPLE

_TEST_ONLY = ("selftest.c", "golden_audio.c", "golden_vectors.c", "kmtl/kmtl_selftest.c")
_PROGRAM = "selftest_main.c"
_LISTEN = """
# An example: hears samples from standard input.
add_executable({name}_listen {file})
target_link_libraries({name}_listen PRIVATE {name})
set_target_properties({name}_listen PROPERTIES CXX_STANDARD 17)"""
#: What the C++ around TensorFlow Lite Micro is compiled with: the macros that its BUILD_TYPE=release sets and that its
#: headers ask for.
TFLM_DEFINITIONS = ("TF_LITE_STATIC_MEMORY", "TF_LITE_STRIP_ERROR_STRINGS")


def cmake_text(name: str, files: Iterable[str], front_end: bool) -> str:
    """The text of `CMakeLists.txt`.

    Args:
        name: the bundle's identifier.
        files: paths of its sources.
        front_end: whether CMSIS-DSP is linked.
    """
    files = set(files)
    sources = sorted(file for file in files if file.endswith((".c", ".cc")) and file not in (_PROGRAM, EXAMPLE))
    groups = {
        "networks": [file for file in sources if file.endswith(".cc")],
        "portable": [file for file in sources if file.endswith(".c") and file not in _TEST_ONLY],
        "test": [file for file in sources if file in _TEST_ONLY],
    }
    words = {group: "\n".join(f"  {file}" for file in listed) for group, listed in groups.items()}
    words["tflm_definitions"] = ";".join(TFLM_DEFINITIONS)
    dsp = filled("CMakeDsp.txt.in", name=name) if front_end else ""
    words["link_dsp"] = f"target_link_libraries({name} PUBLIC {name}_dsp)" if front_end else ""
    words["programs"] = _LISTEN.format(file=EXAMPLE, name=name) if EXAMPLE in files else ""
    return filled("CMakeLists.txt.in", name=name, dsp=dsp, **words)
