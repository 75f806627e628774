"""Clips mixed from isolated sounds: the mixer, and banks of sounds in Scaper's and DESED's layout."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.mixing.clips import MIXED, MixedClips, clips_of, number_of
    from keras_mtl.datasets.mixing.mixer import Mixer
    from keras_mtl.datasets.mixing.occurrence import Occurrence
    from keras_mtl.datasets.mixing.soundbank import Soundbank, Source, open_desed_soundbank, open_soundbank
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "MIXED", "MixedClips", "Mixer", "Occurrence", "Soundbank", "Source", "clips_of", "number_of",
    "open_desed_soundbank", "open_soundbank",
]  # fmt: skip
