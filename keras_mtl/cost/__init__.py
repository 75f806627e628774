"""Parameters and multiply-accumulates of Keras networks, layer by layer, and the table of systems."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.cost.network import SystemRow, cost, count_systems, run_cost
    from keras_mtl.cost.system_plot import plot_systems
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["SystemRow", "cost", "count_systems", "plot_systems", "run_cost"]
