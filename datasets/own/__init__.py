"""A folder of own sounds: any classes, from folders of recordings."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.own.check import OwnCensus, check_own, inspect
    from keras_mtl.datasets.own.folder import SPLIT_TABLE, OwnFolder, open_own
    from keras_mtl.datasets.own.mixing import mixer_of
    from keras_mtl.datasets.own.own_dataset_builder import Builder, OwnConfig, own_config, own_home
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "SPLIT_TABLE", "Builder", "OwnCensus", "OwnConfig", "OwnFolder", "check_own", "inspect", "mixer_of", "open_own",
    "own_config", "own_home",
]  # fmt: skip
