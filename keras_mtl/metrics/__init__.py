"""Figures of both tasks with their intervals, and the evaluation stage."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.metrics.bootstrap import Bootstrap
    from keras_mtl.metrics.evaluation import evaluate, scored_tasks
    from keras_mtl.metrics.events import event_metrics
    from keras_mtl.metrics.scenes import scene_metrics
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["Bootstrap", "evaluate", "event_metrics", "scene_metrics", "scored_tasks"]
