"""Teachers from outside: pretrained networks, by their files or their outputs, and the probes fitted on them."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.teachers.event_probe import EventProbe
    from keras_mtl.teachers.folder import TARGETS, read_targets, standardised
    from keras_mtl.teachers.hearing import Heard, hear, model_outputs
    from keras_mtl.teachers.opening import FileTeacher, FolderTeacher, Teacher, open_teacher, read_teacher
    from keras_mtl.teachers.scene_probe import SceneProbe
    from keras_mtl.teachers.settings import YAMNET, ProbeSettings, TeacherSettings, load_teacher
    from keras_mtl.teachers.targets import Targets
    from keras_mtl.teachers.teaching import teach
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "TARGETS", "YAMNET", "EventProbe", "FileTeacher", "FolderTeacher", "Heard", "ProbeSettings", "SceneProbe",
    "Targets", "Teacher", "TeacherSettings", "hear", "load_teacher", "model_outputs", "open_teacher", "read_targets",
    "read_teacher", "standardised", "teach",
]  # fmt: skip
