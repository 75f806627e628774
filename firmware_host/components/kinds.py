"""The build files and the microphone example of each kind of component."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from keras_mtl.firmware_host.components.parts import Parts

#: Of the component registry: the one that this project's calls were held against.
_ESP_TFLM = "^1.3.1"
_TFLM_OPTIONS = ("CPP", "STD_CPP17", "TENSORFLOW_LITE_MICRO")
#: What a partition of flash is a multiple of, where the first application begins, and the room that it is given.
_SECTOR_BYTES = 0x10000
_APP_BEGINS, _APP_BYTES = 0x10000, 0x200000
#: Sizes of flash that ESP-IDF's configuration names, in MB.
_FLASH_MB = (4, 8, 16, 32, 64, 128)
_EXAMPLE = "examples/microphone"


def kind_texts(kind: str, parts: Parts) -> dict[str, str]:
    """Build files, README and example of a component, by path."""
    texts = _KINDS[kind](parts)
    file = f"README_{kind.replace('-', '_')}.md.in"
    told = parts.filled(file, registry=_registry_name(parts.name)).rstrip("\n")
    use, tflm, example, where = told.split("\n%%\n")
    wanted = [use, *([tflm] if parts.tflm else ()), *([example] if parts.streams else ())]
    swap = {"image_bytes": f"{parts.image_bytes:,}", "where": where if parts.streams else ""}
    sections = {
        "use": "\n\n".join(wanted) + "\n",
        "application": parts.filled("README_stream.md.in" if parts.streams else "README_clip.md.in"),
        "swap": parts.filled("README_swap.md.in", **swap) if parts.image_bytes else "",
        "links": "TensorFlow Lite Micro, which is not in it" if parts.tflm else "no interpreter",
    }
    return {"README.md": parts.filled("README.md.in", kind=kind, **sections), **texts}


def _swap_words(parts: Parts, template: str, include: str = "") -> dict[str, str]:
    """Words of an example that may take its networks from a partition."""
    if not parts.image_bytes:
        return {"swap": "", "models_argument": "", "partition_include": ""}
    return {"swap": parts.filled(template), "models_argument": ", chosen", "partition_include": include}


def _zephyr(parts: Parts) -> dict[str, str]:
    options = _TFLM_OPTIONS if parts.tflm else ()
    kernels = "  zephyr_library_compile_definitions_ifdef(CONFIG_TENSORFLOW_LITE_MICRO_CMSIS_NN_KERNELS CMSIS_NN)"
    texts = {
        "zephyr/module.yml": parts.filled("zephyr_module.yml.in"),
        "zephyr/CMakeLists.txt": parts.filled(
            "zephyr_CMakeLists.txt.in",
            sources="\n".join(f'    "${{CMAKE_CURRENT_LIST_DIR}}/../{path}"' for path in parts.sources),
            definitions=kernels if parts.tflm else "",
        ),
        "zephyr/Kconfig": parts.filled(
            "zephyr_Kconfig.in",
            depends="\n".join(f"\tdepends on {option}" for option in options if not option.startswith("STD_")),
        ),
    }
    if parts.streams:
        include = "#include <zephyr/storage/flash_map.h>\n"
        words = _swap_words(parts, "zephyr_swap.in", include)
        texts |= {
            f"{_EXAMPLE}/CMakeLists.txt": parts.filled("zephyr_example_CMakeLists.txt.in"),
            f"{_EXAMPLE}/prj.conf": parts.filled(
                "zephyr_prj.conf.in", options="\n".join(f"CONFIG_{option}=y" for option in options)
            ),
            f"{_EXAMPLE}/src/main.c": parts.filled("zephyr_main.c.in", callbacks=_callbacks(parts, "printk"), **words),
        }
    return texts


def _esp_idf(parts: Parts) -> dict[str, str]:
    needed = [f'  espressif/esp-tflite-micro: "{_ESP_TFLM}"'] if parts.tflm else []
    texts = {
        "CMakeLists.txt": parts.filled("esp_CMakeLists.txt.in", sources=parts.listed("    ")),
        "idf_component.yml": parts.filled("esp_idf_component.yml.in", dependencies="\n".join(needed)),
    }
    if parts.streams:
        words = _swap_words(parts, "esp_swap.in", '#include "esp_partition.h"\n')
        room = -(-parts.image_bytes // _SECTOR_BYTES) * _SECTOR_BYTES
        model = f"model, data, 0x40, , {room:#x}" if room else ""
        needed_mb = (_APP_BEGINS + _APP_BYTES + room) / (1 << 20)
        flash_mb = next((size for size in _FLASH_MB if size >= needed_mb), _FLASH_MB[-1])
        texts |= {
            f"{_EXAMPLE}/CMakeLists.txt": parts.filled("esp_example_CMakeLists.txt.in"),
            f"{_EXAMPLE}/sdkconfig.defaults": parts.filled("esp_sdkconfig.defaults.in", flash_mb=flash_mb),
            f"{_EXAMPLE}/partitions.csv": parts.filled(
                "esp_partitions.csv.in", app_bytes=f"{_APP_BYTES:#x}", model=model
            ),
            f"{_EXAMPLE}/main/CMakeLists.txt": parts.filled(
                "esp_example_main_CMakeLists.txt.in", requires="driver esp_partition"
            ),
            f"{_EXAMPLE}/main/idf_component.yml": parts.filled("esp_example_main_component.yml.in"),
            f"{_EXAMPLE}/main/main.c": parts.filled("esp_main.c.in", callbacks=_callbacks(parts, "printf"), **words),
        }
    return texts


def _arduino(parts: Parts) -> dict[str, str]:
    texts = {"library.properties": parts.filled("arduino_library.properties.in")}
    if parts.streams:
        words = _swap_words(parts, "arduino_swap.in")
        del words["partition_include"]
        texts[f"{_EXAMPLE}/microphone.ino"] = parts.filled("arduino_sketch.in", arduino_include="", **words)
    return texts


def _platformio(parts: Parts) -> dict[str, str]:
    name = _registry_name(parts.name)
    manifest: dict[str, Any] = {
        "name": name,
        "version": f"{parts.version}.0.0"[-20:],
        "description": parts.about,
        "keywords": ["audio", "machine-learning", "sound-event-detection"],
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": [f"{parts.name}.h"],
        "build": {"srcDir": "src", "includeDir": "src"},
    }
    texts = {}
    if parts.streams:
        files = ["platformio.ini", "src/main.cpp"]
        manifest["examples"] = [{"name": "microphone", "base": _EXAMPLE, "files": files}]
        words = _swap_words(parts, "arduino_swap.in")
        del words["partition_include"]
        include = "#include <Arduino.h>\n"
        texts[f"{_EXAMPLE}/platformio.ini"] = parts.filled("platformio.ini.in", registry=name)
        texts[f"{_EXAMPLE}/src/main.cpp"] = parts.filled("arduino_sketch.in", arduino_include=include, **words)
    return {"library.json": json.dumps(manifest, indent=2) + "\n", **texts}


def _cmake(parts: Parts) -> dict[str, str]:
    texts = {
        "CMakeLists.txt": parts.filled(
            "cmake_CMakeLists.txt.in",
            sources=parts.listed("  "),
            tflm=parts.filled("cmake_tflm.in") if parts.tflm else "",
            link=parts.filled("cmake_link_tflm.in").rstrip("\n") if parts.tflm else "",
        )
    }
    if parts.streams:
        words = _swap_words(parts, "cmake_swap.in")
        del words["partition_include"]
        texts |= {
            f"{_EXAMPLE}/CMakeLists.txt": parts.filled("cmake_example_CMakeLists.txt.in"),
            f"{_EXAMPLE}/board.h": parts.filled("cmake_board.h.in"),
            f"{_EXAMPLE}/board_pc.c": parts.filled("cmake_board_pc.c.in"),
            f"{_EXAMPLE}/main.c": parts.filled("cmake_main.c.in", callbacks=_callbacks(parts, "(void)printf"), **words),
        }
    return texts


def _callbacks(parts: Parts, printing: str) -> str:
    return parts.filled("callbacks.in", print=printing)


def _registry_name(name: str) -> str:
    """As PlatformIO's registry takes it: small letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


_KINDS: dict[str, Callable[[Parts], dict[str, str]]] = {
    "zephyr": _zephyr,
    "esp-idf": _esp_idf,
    "arduino": _arduino,
    "platformio": _platformio,
    "cmake": _cmake,
}
#: What a bundle can be a component of.
KINDS = tuple(_KINDS)
