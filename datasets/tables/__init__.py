"""Labels on disk: tables, label tracks, and the splits of the scene task."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.tables.clip_labels import labels_of, read_track
    from keras_mtl.datasets.tables.desed_places import Place, find_places, unlabelled_place
    from keras_mtl.datasets.tables.scene_subsets import PERCENTS, WHOLE, require_subset, subset_tables, used_splits
    from keras_mtl.datasets.tables.tab_separated import Row, is_empty, read_table
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "PERCENTS", "WHOLE", "Place", "Row", "find_places", "is_empty", "labels_of", "read_table", "read_track",
    "require_subset", "subset_tables", "unlabelled_place", "used_splits",
]  # fmt: skip
