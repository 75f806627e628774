"""Operating points: thresholds, median filters, pauses and shortest events of each class, chosen on held-out clips."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tuning.curves import Curve, CurvePoint, curves
    from keras_mtl.tuning.page import page_html, set_options
    from keras_mtl.tuning.stage import BY, SCHEMA, Point, Tuning, tune
    from keras_mtl.tuning.tracks import Tracks
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "BY", "SCHEMA", "Curve", "CurvePoint", "Point", "Tracks", "Tuning", "curves", "page_html", "set_options", "tune",
]  # fmt: skip
