"""What a device does with an artifact, in Python: loops over steps, and scenes and events of sound as it comes.

Only integers move between the members, by the rules of the artifact's wiring. The firmware's driver does the same in C.
"""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.device.detections import BEGIN, END, SCENE, Detection, silence_after, within
    from keras_mtl.firmware_host.device.fixed_log_mel import (
        FixedLogMel,
        FixedTables,
        fft_factors,
        fixed_tables,
        frequency_order,
        mel_segments,
    )
    from keras_mtl.firmware_host.device.member import OpenMember
    from keras_mtl.firmware_host.device.memory import (
        C_TYPES,
        FRONT_END,
        LISTENER_STATE_BYTES,
        Buffer,
        cell_steps,
        embedding_place,
        kept_embeddings,
        listener_buffers,
        listener_memory,
        pass_cells,
        pass_embeddings,
        score_embeddings,
    )
    from keras_mtl.firmware_host.device.predictor import StreamPredictor
    from keras_mtl.firmware_host.device.stream import StreamLoop
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "BEGIN", "C_TYPES", "END", "FRONT_END", "LISTENER_STATE_BYTES", "SCENE", "Buffer", "Detection", "FixedLogMel",
    "FixedTables", "OpenMember", "StreamLoop", "StreamPredictor", "cell_steps", "embedding_place", "fft_factors",
    "fixed_tables", "frequency_order", "kept_embeddings", "listener_buffers", "listener_memory", "mel_segments",
    "pass_cells", "pass_embeddings", "score_embeddings", "silence_after", "within",
]  # fmt: skip
