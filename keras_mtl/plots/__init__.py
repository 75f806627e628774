"""Pictures of predictions and recordings."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.plots.clip_view import look_at, plot_clip
    from keras_mtl.plots.timeline import plot_timeline, save
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["look_at", "plot_clip", "plot_timeline", "save"]
