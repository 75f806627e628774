"""The networks, as builders of functional Keras models, by the id of their system."""

from keras_mtl.models.baseline_sed import build_baseline_sed
from keras_mtl.models.batch_norm import FusedBatchNorm
from keras_mtl.models.cp_mobile import build_cp_mobile, build_cp_mobile_rnn
from keras_mtl.models.event_head import LookAhead, WeakPooling, build_event_head, build_event_part
from keras_mtl.models.grn import GRN
from keras_mtl.models.mt import build_crnn, build_encoder, build_mt
from keras_mtl.models.registry import BUILDERS, build
from keras_mtl.models.scene_head import build_scene_part
from keras_mtl.models.timing import embeddings_of, frames_per_embedding

__all__ = [
    "BUILDERS", "GRN", "FusedBatchNorm", "LookAhead", "WeakPooling", "build", "build_baseline_sed", "build_cp_mobile",
    "build_cp_mobile_rnn", "build_crnn", "build_encoder", "build_event_head", "build_event_part", "build_mt",
    "build_scene_part", "embeddings_of", "frames_per_embedding",
]  # fmt: skip
