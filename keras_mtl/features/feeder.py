"""Log-mel of mixed clips, made ahead on processes of their own. Imports no TensorFlow: these processes start fast."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from keras_mtl.core import KerasMtlError, LogMelSettings, TrainingError
from keras_mtl.datasets.mixing import Mixer
from keras_mtl.datasets.prepare import open_pool
from keras_mtl.decoding import Event
from keras_mtl.features.log_mel import shared_log_mel

#: A mixed clip: its number, and that of the pass.
Wanted = tuple[int, int]
Fed = tuple[np.ndarray, Sequence[Event]]


def mixed_log_mel(mixer: Mixer, settings: LogMelSettings, wanted: Wanted) -> Fed:
    """A clip of a mixer: log-mel, float16 [frames, mel_bands] in dB, and its events.

    Raises:
        DataError: as of `Mixer.clip`.
    """
    audio, events = mixer.clip(*wanted)
    return shared_log_mel(settings)(audio[None])[0].astype(np.float16), events


class Feeder:
    """Gives mixed clips; those that will be asked for next are made ahead by processes.

    Who makes a clip has no part in what it is, so the same clips come with any number of processes. They are started
    when something is to be made ahead for the first time.

    Args:
        mixer: what mixes.
        settings: the features, before their normalisation.
        workers: processes; with 0 every clip is made when it is asked for, by who asks.
    """

    def __init__(self, mixer: Mixer, settings: LogMelSettings, workers: int = 0) -> None:
        self._job = mixer, settings
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._pending: dict[Wanted, Future[Fed]] = {}
        self._lock = threading.Lock()
        #: What went wrong, where it did: TensorFlow, which asks for the batches, makes an error of its own of it.
        self.error: KerasMtlError | None = None

    @property
    def stands_for(self) -> str:
        """What the clips depend on, as text."""
        return repr(self._job)

    def __call__(self, wanted: Wanted) -> Fed:
        """A clip, as of `mixed_log_mel`.

        Raises:
            DataError: a recording can't be read, or is silent.
            TrainingError: a process that makes clips has ended.
        """
        with self._lock:
            future = self._pending.pop(wanted, None)
        with self._remembered():
            with contextlib.suppress(CancelledError):  # this is being closed
                if future is not None:
                    return future.result()
            return mixed_log_mel(*self._job, wanted)

    def ahead(self, wanted: Iterable[Wanted]) -> None:
        """Has these clips made, in this order, and forgets all others that were asked for before.

        Raises:
            TrainingError: a process that makes clips has ended.
        """
        with self._lock, self._remembered():
            if not self._workers:
                return
            wanted = dict.fromkeys(wanted)
            for each in self._pending.keys() - wanted.keys():
                self._pending.pop(each).cancel()
            missing = [each for each in wanted if each not in self._pending]
            if missing:
                self._pool = self._pool or open_pool(self._workers, _hold, *self._job)
                self._pending |= {each: self._pool.submit(_made, each) for each in missing}

    def close(self) -> None:
        """Ends the processes; clips that are asked for after that are made by who asks."""
        with self._lock:
            pool, self._pool, self._workers, self._pending = self._pool, None, 0, {}
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        """Keeps what goes wrong."""
        try:
            yield
        except BrokenProcessPool:
            self.error = TrainingError(
                "a process that mixes clips has ended unexpectedly",
                hint="is memory short? --jobs 0 goes without; --resume goes on from the last checkpoint",
            )
            raise self.error from None
        except KerasMtlError as error:
            self.error = error
            raise


_held: tuple[Mixer, LogMelSettings]


def _hold(mixer: Mixer, settings: LogMelSettings) -> None:
    """In a worker: keeps what all of its clips are made with."""
    global _held
    _held = mixer, settings


def _made(wanted: Wanted) -> Fed:
    """In a worker: makes a clip."""
    return mixed_log_mel(*_held, wanted)
