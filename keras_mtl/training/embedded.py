"""Event clips as the embeddings of a frozen encoder, computed once: then a decoder trains in minutes."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from keras_mtl.core import DataError, LogMelSettings, files
from keras_mtl.decoding import Event
from keras_mtl.features import EventSet, FreshMixtures, normalise
from keras_mtl.training.waiting import Waiting

_BATCH = 16
#: Clips that are made ahead, at most 1 GB of log-mel: a pass is mixed while the decoder learns on the one before.
_AHEAD = 4096


@dataclass(frozen=True)
class Embedded(EventSet):
    """A set whose clips are embeddings, float16 [embeddings, D]; all else is that of the set it is made of.

    The embeddings of a pass lie in a file of the cache, named by the encoder's weights and the clips. Those of a set
    that is mixed anew are of one pass each, and make place for the next.

    Attributes:
        clips: the set.
        settings: the features with their normalisation.
        encoder: the frozen encoder.
        folder: of the cache.
        waiting: is told when the encoder computes.
    """

    clips: EventSet
    settings: LogMelSettings
    encoder: keras.Model
    folder: Path
    waiting: Waiting
    _passes: dict[int, tuple[np.ndarray, list[Sequence[Event]]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        clips: EventSet,
        settings: LogMelSettings,
        encoder: keras.Model,
        cache: Path,
        key: str,
        waiting: Waiting,
    ) -> Embedded:
        """The embeddings of a set; `key` stands for the data that it is of (`Corpus.key`)."""
        digest = hashlib.sha256(f"{key} {json.dumps(settings.to_dict(), sort_keys=True)} ".encode())
        digest.update("\n".join(clips.filenames.tolist()).encode())
        for weight in encoder.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        if isinstance(clips, FreshMixtures):
            digest.update(clips.feeder.stands_for.encode())
        folder = cache / "embeddings" / digest.hexdigest()[:24]
        made_of = clips, settings, encoder, folder, waiting
        return cls(clips.log_mel, clips.events, clips.weak, clips.filenames, *made_of)

    def clip(self, place: int, passed: int) -> tuple[np.ndarray, Sequence[Event]]:
        """See `EventSet.clip`; embeddings in place of log-mel."""
        number = passed if isinstance(self.clips, FreshMixtures) else 0
        if number not in self._passes:
            # A batch may hold the end of a pass and the begin of the next.
            for old in [each for each in self._passes if each < number - 1]:
                del self._passes[old]
                if old:
                    self._file(old).unlink(missing_ok=True)
            self._passes[number] = self._embed(number)
        embeddings, events = self._passes[number]
        return embeddings[place], events[place]

    def ahead(self, places: Sequence[int], passes: Sequence[int]) -> None:
        """Nothing: a pass is there as a whole."""

    def _file(self, number: int) -> Path:
        return self.folder / f"pass-{number:05d}.npy"

    def _embed(self, number: int) -> tuple[np.ndarray, list[Sequence[Event]]]:
        path = self._file(number)
        shape = (len(self.clips), *self.encoder.compute_output_shape((1, *self.log_mel.shape[1:], 1))[1:])
        kept = _kept(path, shape)
        if kept is not None and not number:
            return kept, list(self.clips.events)
        events: list[Sequence[Event]] = []
        try:
            with files.new_file(path) as file:
                header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                bar = tqdm(total=shape[0], desc="embeddings", unit=" clips", file=sys.stderr, disable=None)
                for first in range(0, shape[0], _BATCH):
                    next_ones = range(first, min(first + _AHEAD, shape[0]))
                    self.clips.ahead([*next_ones], [number] * len(next_ones))
                    rows = [self.clips.clip(place, number) for place in range(first, min(first + _BATCH, shape[0]))]
                    batch = normalise(np.stack([log_mel for log_mel, _ in rows]), self.settings)[..., None]
                    with self.waiting.computing():
                        embeddings = np.ascontiguousarray(self.encoder(batch, training=False), np.float16)
                    file.write(embeddings.data)
                    events += [heard for _, heard in rows]
                    bar.update(len(rows))
                bar.close()
            first_ones = range(min(_AHEAD, shape[0]))
            self.clips.ahead([*first_ones], [number + 1] * len(first_ones))  # while the decoder learns on these
        except OSError as error:
            raise DataError(
                f"embeddings can't be written to {self.folder}: {error.strerror or error}",
                hint="set KERAS_MTL_CACHE to a folder with space",
            ) from error
        return np.load(path, mmap_mode="r"), events


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """What was computed before; a file is there whole or not at all."""
    if not path.is_file():
        return None
    found = np.load(path, mmap_mode="r")
    return found if found.shape == shape else None
