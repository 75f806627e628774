"""What every package uses: errors, files, isolation of native code, labels, log-mel settings, tables, HTML pages."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.core import errors, files
    from keras_mtl.core.errors import (
        ArtifactError,
        ConversionError,
        DataError,
        EngineCrash,
        EngineError,
        EngineMissing,
        EngineRefused,
        EngineTimeout,
        FeatureMismatch,
        KerasMtlError,
        RecipeError,
        RunError,
        TargetError,
        TrainingError,
        VerdictFailed,
    )
    from keras_mtl.core.files import new_folder, read_bytes, to_json, write_text
    from keras_mtl.core.isolation import UNUSED_PACKAGES, last_line, limit_process, run_isolated
    from keras_mtl.core.labels import (
        DCASE,
        SCENE_PREFIX,
        Labels,
        is_one_line,
        normal,
        read_labels,
        refusal,
        without_score,
    )
    from keras_mtl.core.log_mel_settings import LogMelSettings, frame_window, hann_window, mel_edges_hz, mel_filters
    from keras_mtl.core.pages import page, picture
    from keras_mtl.core.tables import Column, Html, Table
    from keras_mtl.core.typed import field_value, nearest, read
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "DCASE", "SCENE_PREFIX", "UNUSED_PACKAGES", "ArtifactError", "Column", "ConversionError", "DataError",
    "EngineCrash", "EngineError", "EngineMissing", "EngineRefused", "EngineTimeout", "FeatureMismatch", "Html",
    "KerasMtlError", "Labels", "LogMelSettings", "RecipeError", "RunError", "Table", "TargetError", "TrainingError",
    "VerdictFailed", "errors", "field_value", "files", "frame_window", "hann_window", "is_one_line", "last_line",
    "limit_process", "mel_edges_hz", "mel_filters", "nearest", "new_folder", "normal", "page", "picture", "read",
    "read_bytes", "read_labels", "refusal", "run_isolated", "to_json", "without_score", "write_text",
]  # fmt: skip
