"""The generated texts of a bundle: C sources, build files, README."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.bundle.text import readme
    from keras_mtl.firmware_host.bundle.text.c_source import ALWAYS, FOLDER, TFLM_ONLY, static_texts
    from keras_mtl.firmware_host.bundle.text.front_end import log_mel_tables
    from keras_mtl.firmware_host.bundle.text.golden_source import audio_binaries, audio_texts, vectors_texts
    from keras_mtl.firmware_host.bundle.text.listener_source import listener_texts, require_listener
    from keras_mtl.firmware_host.bundle.text.networks import Network, network_texts, networks_header, networks_source
    from keras_mtl.firmware_host.bundle.text.plain_readme import plain_readme
    from keras_mtl.firmware_host.bundle.text.resolver import restricted
    from keras_mtl.firmware_host.bundle.text.selftest import (
        Stage,
        constants_stage,
        front_end_stages,
        listener_stages,
        network_stages,
        selftest_texts,
    )
    from keras_mtl.firmware_host.bundle.text.settings import settings_header
    from keras_mtl.firmware_host.bundle.text.several import several_texts
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "ALWAYS", "FOLDER", "TFLM_ONLY", "Network", "Stage", "audio_binaries", "audio_texts", "constants_stage",
    "front_end_stages", "listener_stages", "listener_texts", "log_mel_tables", "network_stages", "network_texts",
    "networks_header", "networks_source", "plain_readme", "readme", "require_listener", "restricted",
    "selftest_texts", "settings_header", "several_texts", "static_texts", "vectors_texts",
]  # fmt: skip
