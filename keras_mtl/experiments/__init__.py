"""Comparisons of runs, and sweeps over settings."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.experiments.comparison import SORTS, Comparison, RunRow
    from keras_mtl.experiments.comparison_differences import Draws, EveryDraw, draws_of, with_differences
    from keras_mtl.experiments.comparison_plot import plot_comparison, plot_conflict
    from keras_mtl.experiments.comparison_rows import compare
    from keras_mtl.experiments.comparison_text import comparison_html, comparison_lines, comparison_markdown
    from keras_mtl.experiments.sweep import run_sweep
    from keras_mtl.experiments.sweep_plan import plan_sweep
    from keras_mtl.experiments.sweep_ray import with_ray
    from keras_mtl.experiments.sweep_state import Sweep, expand, take_up
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "SORTS", "Comparison", "Draws", "EveryDraw", "RunRow", "Sweep", "compare", "comparison_html",
    "comparison_lines", "comparison_markdown", "draws_of", "expand", "plan_sweep", "plot_comparison", "plot_conflict",
    "run_sweep", "take_up", "with_differences", "with_ray",
]  # fmt: skip
