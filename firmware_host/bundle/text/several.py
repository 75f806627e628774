"""The build file and the README above several bundles that go into one firmware."""

from __future__ import annotations

from collections.abc import Mapping

from keras_mtl.firmware_host.bundle.text.c_source import filled


def several_texts(headers: Mapping[str, str], plain: bool = False) -> dict[str, str]:
    """`CMakeLists.txt` and `README.md` of a folder that has several bundles.

    `headers`: of each bundle, by its folder's name, the header of its networks. `plain`: the networks are C99.
    """
    words = {
        "languages": "C" if plain else "C CXX",
        "against": "" if plain else ", against TensorFlow Lite Micro (TFLM) as you built it",
        "building": "" if plain else " and says how to build TensorFlow Lite Micro",
        "memory": "memory" if plain else "an arena",
        "folders": "\n".join(f"add_subdirectory({name})" for name in headers),
        "libraries": " ".join(headers),
        "listed": "\n".join(f"- [`{name}`]({name}/README.md)" for name in headers),
        "includes": "\n".join(f'    #include "{name}/{header}"' for name, header in headers.items()),
    }
    return {
        "CMakeLists.txt": filled("CMakeSeveral.txt.in", **words),
        "README.md": filled("README_several.md.in", **words),
    }
