"""The artifact: members (`.tflite` files), wiring with a schedule, facts and golden data (no TensorFlow here)."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact.artifact import MANIFEST, Artifact, is_artifact, is_folder
    from keras_mtl.tflite.artifact.facts import UNKNOWN, Facts
    from keras_mtl.tflite.artifact.golden import Golden
    from keras_mtl.tflite.artifact.member import METADATA_NAME, Member
    from keras_mtl.tflite.artifact.port import Port, name_ports
    from keras_mtl.tflite.artifact.wiring import SCENE_HOP, Pass, Recurrent, State, Stream, Wiring
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "MANIFEST", "METADATA_NAME", "SCENE_HOP", "UNKNOWN", "Artifact", "Facts", "Golden", "Member", "Pass", "Port",
    "Recurrent", "State", "Stream", "Wiring", "is_artifact", "is_folder", "name_ports",
]  # fmt: skip
