"""Figures of both tasks with their intervals, and the evaluation stage."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.metrics.bootstrap import Bootstrap
    from keras_mtl.metrics.evaluation import evaluate, scored_tasks
    from keras_mtl.metrics.events import event_counts, event_metrics, f1_of_counts
    from keras_mtl.metrics.false_alarms import false_alarm_figures, poisson_interval
    from keras_mtl.metrics.psds import PSDS1, Psds
    from keras_mtl.metrics.scenes import scene_metrics
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "PSDS1", "Bootstrap", "Psds", "evaluate", "event_counts", "event_metrics", "f1_of_counts", "false_alarm_figures",
    "poisson_interval", "scene_metrics", "scored_tasks",
]  # fmt: skip
