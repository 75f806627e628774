"""The artifact: members (`.tflite` files), wiring with a schedule, facts and golden data (no TensorFlow here)."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact.artifact import GOLDEN, MANIFEST, SCHEMA, Artifact, is_folder
    from keras_mtl.tflite.artifact.facts import UNKNOWN, Facts
    from keras_mtl.tflite.artifact.golden import Golden
    from keras_mtl.tflite.artifact.member import METADATA_NAME, Member
    from keras_mtl.tflite.artifact.port import Port, name_ports
    from keras_mtl.tflite.artifact.totals import latency_s
    from keras_mtl.tflite.artifact.wiring import SCENE_HOP, Clip, Pass, Recurrent, State, Stream, Wiring
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "GOLDEN", "MANIFEST", "METADATA_NAME", "SCENE_HOP", "SCHEMA", "UNKNOWN", "Artifact", "Clip", "Facts", "Golden",
    "Member", "Pass", "Port", "Recurrent", "State", "Stream", "Wiring", "is_folder", "latency_s", "name_ports",
]  # fmt: skip
