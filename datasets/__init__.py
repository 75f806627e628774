"""Data sets: readers of users' folders and the embedded sounds, as TFDS builders.

`corpus.open_corpus` opens both kinds for training and evaluation; `audio.read_audio` reads one recording.
Importing this package loads neither TensorFlow nor TFDS; its modules do.
"""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.corpus import STRONG, STRONG_MIXED, Corpus, open_corpus
    from keras_mtl.datasets.data_check import FolderCensus, SplitCensus, check_folder
    from keras_mtl.datasets.prepare import DataSettings
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "STRONG", "STRONG_MIXED", "Corpus", "DataSettings", "FolderCensus", "SplitCensus", "check_folder", "open_corpus",
]  # fmt: skip
