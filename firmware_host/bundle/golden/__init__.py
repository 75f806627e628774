"""Golden data of a bundle, computed on the real interpreter."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.bundle.golden.audio import input_scaling
    from keras_mtl.firmware_host.bundle.golden.chain import (
        CALLS_EACH,
        MADE_UP_STEPS,
        STEPS_PER_DB,
        Chain,
        event_numbers,
        features_of,
        file_chain,
        has_scenes,
        stream_chain,
    )
    from keras_mtl.firmware_host.bundle.golden.vectors import C_VECTORS, GoldenVectors, golden_vectors, numbered
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "CALLS_EACH", "C_VECTORS", "MADE_UP_STEPS", "STEPS_PER_DB", "Chain", "GoldenVectors", "event_numbers",
    "features_of", "file_chain", "golden_vectors", "has_scenes", "input_scaling", "numbered", "stream_chain",
]  # fmt: skip
