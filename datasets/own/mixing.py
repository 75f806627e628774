"""The mixer of each side of a folder of own sounds."""

from __future__ import annotations

from keras_mtl.datasets.mixing import Mixer
from keras_mtl.datasets.own.folder import HELD_OUT, TEST, TRAIN, OwnFolder
from keras_mtl.datasets.prepare import DataSettings

#: Numbers that set the random streams apart; never change one.
_STREAMS = {TRAIN: 1, HELD_OUT: 2, TEST: 3}


def mixer_of(folder: OwnFolder, side: str, settings: DataSettings, sample_rate_hz: int) -> Mixer | None:
    """The mixer of a side of a folder; None where it has no isolated sounds.

    A side without backgrounds of its own has those of the training side. Only training clips are varied: the others
    are what a network is judged by.
    """
    by_class = sorted(folder.by_class("events", side).items())  # the clips do not depend on the order of the labels
    sounds = {label: [folder.root / name for name in names] for label, names in by_class if names}
    backgrounds = folder.names("background", side) or folder.names("background", TRAIN)
    if not sounds:
        return None
    return Mixer(
        sounds,
        [folder.root / name for name in backgrounds],
        settings.event_clip_s,
        sample_rate_hz,
        settings.snr_db,
        (settings.mix_seed, _STREAMS[side]),
        vary=settings.vary and side == TRAIN,
    )
