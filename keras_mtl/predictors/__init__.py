"""Opens what a user names (a run folder, a `.keras` file in one, an artifact) as a predictor."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.predictors.ambient import ambient_tracks, false_alarms
    from keras_mtl.predictors.foreign import require_own
    from keras_mtl.predictors.opening import open_for_scoring, open_predictor
    from keras_mtl.predictors.operating_points import Tunable
    from keras_mtl.predictors.sources import from_device, from_file, from_stream
    from keras_mtl.predictors.streaming import predict_stream
    from keras_mtl.predictors.view import JsonView, TextView
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "JsonView",
    "TextView",
    "Tunable",
    "ambient_tracks",
    "false_alarms",
    "from_device",
    "from_file",
    "from_stream",
    "open_for_scoring",
    "open_predictor",
    "predict_stream",
    "require_own",
]
