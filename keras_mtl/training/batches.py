"""Streams of training batches: which clips make up step n is a function of the seed and n alone.

So a training can be taken up at any step, and the streams of two tasks each keep their own size and length: a shorter
one begins again, newly shuffled, while the longer one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from keras_mtl.algorithms import HAS_TEACHER, TEACHER_EVENTS
from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import Grid
from keras_mtl.features import EventSet, ImpulseCopies, SceneSet, normalise
from keras_mtl.training.taught import Taught, TaughtEvents

Batch = dict[str, np.ndarray]
#: Clips at most that a set is told of before they are asked for: some 16 MB of log-mel.
_AHEAD_CLIPS = 256


class Stream(Protocol):
    """Batches by number; `steps` of them go once over the clips."""

    steps: int

    def __call__(self, step: int) -> Batch:
        """Batch number `step`."""

    def filenames(self, step: int) -> list[str]:
        """The clips of batch number `step`, in its order."""


class Sampler:
    """Draws clip numbers without repeats within a pass, and shuffles anew for the next pass.

    Args:
        clips: number of clips.
        batch: clips of a batch.
        seed: numbers that make this stream's shuffling its own.
    """

    def __init__(self, clips: int, batch: int, seed: Sequence[int]) -> None:
        self.clips = clips
        self.batch = batch
        self.seed = tuple(seed)
        self._orders: dict[int, np.ndarray] = {}

    @property
    def steps(self) -> int:
        """Batches that one pass takes, the last of them filled from the next pass."""
        return -(-self.clips // self.batch) if self.clips else 0

    def __call__(self, step: int) -> np.ndarray:
        """The clips of batch `step`: int [batch]."""
        return self.at(np.arange(step * self.batch, (step + 1) * self.batch))

    def at(self, places: np.ndarray) -> np.ndarray:
        """The clips at some places of the whole sequence, all passes after each other: int [places]."""
        passes, within = np.divmod(places, self.clips)
        needed = range(int(passes[0]), int(passes[-1]) + 1)
        # The next step is of the same pass as a rule, and shuffling costs as much as there are clips.
        orders = self._orders = {p: self._orders[p] if p in self._orders else self._order(p) for p in needed}
        return np.asarray([orders[p][i] for p, i in zip(passes.tolist(), within, strict=True)])

    def passes(self, step: int) -> np.ndarray:
        """The pass that each clip of batch `step` belongs to: int [batch]."""
        return np.arange(step * self.batch, (step + 1) * self.batch) // self.clips

    def _order(self, number: int) -> np.ndarray:
        return np.random.default_rng((*self.seed, number)).permutation(self.clips)


class BalancedSampler(Sampler):
    """Draws every class equally often: as many clips a pass as there are, those of a rarer class more often.

    A class's own clips come without repeats until all of them have come, so a pass has not all clips of a frequent
    class, and the next pass goes on with the others.

    Args:
        classes: the class of each clip, int [clips].
        batch, seed: see `Sampler`.
    """

    def __init__(self, classes: np.ndarray, batch: int, seed: Sequence[int]) -> None:
        super().__init__(len(classes), batch, seed)
        self._members = [np.flatnonzero(classes == each) for each in np.unique(classes)]
        # The last number keeps these seeds apart from those of a pass's order.
        self._samplers = [Sampler(len(clips), 1, (*seed, each, 1)) for each, clips in enumerate(self._members)]

    def _order(self, number: int) -> np.ndarray:
        draws, classes = np.divmod(np.arange(number * self.clips, (number + 1) * self.clips), len(self._members))
        order = np.empty(self.clips, int)
        for each, (members, sampler) in enumerate(zip(self._members, self._samplers, strict=True)):
            order[classes == each] = members[sampler.at(draws[classes == each])]
        return np.random.default_rng((*self.seed, number)).permutation(order)


class SceneStream:
    """Batches of the scene task: {"log_mel" [b, frames, mel, 1], "scene" [b]}, with some clips out of `copies`.

    Where it is `balanced`, every scene comes equally often.
    """

    def __init__(
        self,
        scenes: SceneSet,
        batch: int,
        settings: LogMelSettings,
        seed: int,
        copies: ImpulseCopies | None = None,
        balanced: bool = False,
    ) -> None:
        self._set, self._settings, self._copies = scenes, settings, copies
        plain = Sampler(len(scenes), batch, (seed, 1))
        self._sampler = BalancedSampler(scenes.scenes, batch, (seed, 1)) if balanced else plain
        self.steps = self._sampler.steps

    def __call__(self, step: int) -> Batch:
        """Batch number `step`."""
        index = self._sampler(step)
        if self._copies is not None:
            log_mel = normalise(self._copies.into(self._set.log_mel[index], index, step), self._settings)
        else:
            log_mel = _normalised([self._set.log_mel[i] for i in index], self._settings)
        return {
            "log_mel": log_mel[..., None],
            "scene": self._set.scenes[index].astype(np.int32),
        }

    def clips(self, step: int) -> np.ndarray:
        """The places in the set of the clips of batch number `step`: int [b]."""
        return self._sampler(step)

    def filenames(self, step: int) -> list[str]:
        """The clips of batch number `step`, in its order."""
        return [str(name) for name in self._set.filenames[self.clips(step)]]


class TaughtStream:
    """Batches of the scene task with a teacher's targets, in which clips without a scene come after those with one.

    "has_scene" [b] tells them apart. One pass goes over the clips that have a scene.

    Args:
        labelled: batches of clips that have one.
        taught: what the teacher says of these.
        pool: clips that have none; or None.
        pool_taught: what the teacher says of them.
        batch: how many of them a batch has.
        settings: the features' settings.
        seed: of the shuffling.
    """

    def __init__(
        self,
        labelled: SceneStream,
        taught: Taught,
        pool: SceneSet | None,
        pool_taught: Taught | None,
        batch: int,
        settings: LogMelSettings,
        seed: int,
    ) -> None:
        self._labelled, self._taught, self._settings = labelled, taught, settings
        self._pool, self._pool_taught = (pool, pool_taught) if batch else (None, None)
        self._sampler = Sampler(len(pool), batch, (seed, 12)) if self._pool is not None and pool is not None else None
        self.steps = labelled.steps

    def __call__(self, step: int) -> Batch:
        """Batch number `step`."""
        found = self._labelled(step) | self._taught.of(self._labelled.clips(step))
        found["has_scene"] = np.ones(len(found["scene"]), np.float32)
        if self._sampler is None or self._pool is None or self._pool_taught is None:
            return found
        index = self._sampler(step)
        more = self._pool_taught.of(index)
        more["log_mel"] = _normalised([self._pool.log_mel[i] for i in index], self._settings)[..., None]
        more["scene"] = np.zeros(len(index), np.int32)
        more["has_scene"] = np.zeros(len(index), np.float32)
        return {key: np.concatenate([values, more[key]]) for key, values in found.items()}

    def filenames(self, step: int) -> list[str]:
        """The clips of batch number `step`, in its order."""
        names = self._labelled.filenames(step)
        if self._sampler is None or self._pool is None:
            return names
        return names + [str(name) for name in self._pool.filenames[self._sampler(step)]]


class EventStream:
    """Batches of the event task: strong clips first, then weak, then unlabelled ones.

    {"log_mel" [b, frames, mel, 1], "strong" [b, embeddings, events], "weak" [b, events], "has_strong" [b],
    "has_weak" [b]}. A kind that the data lack, or whose batch is 0, is left out; one pass goes over the strong clips.
    With a teacher's events also {"teacher_events" [b, embeddings, events], "has_teacher" [b]}.

    Args:
        kinds: the clips of each kind.
        batches: clips of each kind in a batch.
        settings: the features' settings.
        labels: the event classes.
        frames_per_embedding: log-mel frames from one embedding of the network to the next.
        seed: of the shuffling.
        embeddings: embeddings that the network gives for one clip; None where it gives whole ones only.
        tagged: whether the classes of a strong clip are its weak labels, too: for data without weak clips.
        taught: what a teacher says of the clips of a kind.
    """

    def __init__(
        self,
        kinds: dict[str, EventSet],
        batches: dict[str, int],
        settings: LogMelSettings,
        labels: Sequence[str],
        frames_per_embedding: int,
        seed: int,
        embeddings: int | None = None,
        tagged: bool = False,
        taught: Mapping[str, TaughtEvents] | None = None,
    ) -> None:
        self._settings, self._labels, self._tagged, self._parts = settings, labels, tagged, []
        self._taught = taught or {}
        for number, kind in enumerate(("strong", "weak", "unlabelled")):
            if batches.get(kind) and kind in kinds and len(kinds[kind]):
                sampler = Sampler(len(kinds[kind]), batches[kind], (seed, 2 + number))
                self._parts.append((kind, kinds[kind], sampler))
        frames = self._parts[0][1].log_mel.shape[1]
        self._grid = Grid.over(settings, frames, frames_per_embedding, embeddings)
        self.steps = self._parts[0][2].steps

    def __call__(self, step: int) -> Batch:
        """Batch number `step`."""
        rows, strong, weak, has_strong, has_weak = [], [], [], [], []
        for kind, clips, sampler in self._parts:
            places = np.arange(step * sampler.batch, step * sampler.batch + max(_AHEAD_CLIPS, sampler.batch))
            clips.ahead(sampler.at(places).tolist(), (places // sampler.clips).tolist())
            for i, passed in zip(sampler(step).tolist(), sampler.passes(step).tolist(), strict=True):
                log_mel, events = clips.clip(i, passed)
                rows.append(log_mel)
                events = events if kind == "strong" else ()
                strong.append(self._grid.targets(events, self._labels))
                heard = {event.label for event in events} if self._tagged else set()
                weak.append(clips.weak[i] if kind == "weak" else np.isin(self._labels, [*heard]).astype(np.float32))
                has_strong.append(kind == "strong")
                has_weak.append(kind == "weak" or (kind == "strong" and self._tagged))
        found = {
            "log_mel": _normalised(rows, self._settings)[..., None],
            "strong": np.stack(strong),
            "weak": np.stack(weak),
            "has_strong": np.asarray(has_strong, np.float32),
            "has_weak": np.asarray(has_weak, np.float32),
        }
        return found | self._told(step) if self._taught else found

    def _told(self, step: int) -> Batch:
        """What the teacher says of batch number `step`."""
        events, told = [], []
        for kind, _, sampler in self._parts:
            index, taught = sampler(step), self._taught.get(kind)
            nothing = np.zeros((len(index), self._grid.count, len(self._labels)), np.float32)
            events.append(nothing if taught is None else taught.on(self._grid, index))
            told.append(np.zeros(len(index)) if taught is None else taught.told[index])
        return {TEACHER_EVENTS: np.concatenate(events), HAS_TEACHER: np.concatenate(told).astype(np.float32)}

    def filenames(self, step: int) -> list[str]:
        """The clips of batch number `step`, in its order."""
        return [str(name) for _, clips, sampler in self._parts for name in clips.filenames[sampler(step)]]


def _normalised(clips: Sequence[np.ndarray], settings: LogMelSettings) -> np.ndarray:
    """Clips of log-mel in dB, normalised: float32 [clips, frames, mel_bands].

    Clip by clip, from the mapped file to its place in the batch: a clip stays in a core's cache on its way.
    """
    out = np.empty((len(clips), *clips[0].shape), np.float32)
    for place, clip in zip(out, clips, strict=True):
        normalise(clip, settings, out=place)
    return out


class Turns:
    """A stream that gives batches in every `turns`-th step only, from step `turn` on, and no clips in between.

    So two streams take turns, neither loses a batch, and each still goes over its clips at its own pace.

    Args:
        stream: whose batch k comes in step turns x k + turn.
        turn: the first step with clips.
        turns: how many streams take turns.
    """

    def __init__(self, stream: Stream, turn: int, turns: int) -> None:
        self._stream, self._turn, self._turns = stream, turn, turns
        self.steps = stream.steps * turns
        self._nothing = {key: value[:0] for key, value in stream(0).items()}

    def __call__(self, step: int) -> Batch:
        """Batch number `step`: one of the stream's, or one of 0 clips."""
        batch, turn = divmod(step, self._turns)
        return self._stream(batch) if turn == self._turn else self._nothing

    def filenames(self, step: int) -> list[str]:
        """The clips of batch number `step`, in its order."""
        batch, turn = divmod(step, self._turns)
        return self._stream.filenames(batch) if turn == self._turn else []


def take_turns(streams: Mapping[str, Stream]) -> dict[str, Stream]:
    """The same streams, one of them a step, in their order: a pass takes as many steps as they have batches each."""
    return {task: Turns(stream, turn, len(streams)) for turn, (task, stream) in enumerate(streams.items())}


def as_dataset(
    streams: Mapping[str, Stream], first_step: int, steps: int, got_batch: Callable[[], None] | None = None
) -> tf.data.Dataset:
    """Steps `first_step` to `first_step + steps` of one or more streams, {task: batch}, read ahead in order.

    The number of clips is part of the tensors' shapes, but for streams that take turns.

    Args:
        streams: the streams by task.
        first_step: the first step.
        steps: their number.
        got_batch: called whenever a batch is handed over.
    """
    example = {task: stream(0) for task, stream in streams.items()}
    varying = any(isinstance(stream, Turns) for stream in streams.values())
    leaves = [(task, key, value) for task, batch in example.items() for key, value in batch.items()]

    def read(step: Any) -> list[np.ndarray]:
        batch = {task: stream(int(step)) for task, stream in streams.items()}
        return [batch[task][key] for task, key, _ in leaves]

    def batch_of(step: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        values = tf.numpy_function(read, [step], [tf.as_dtype(value.dtype) for *_, value in leaves])
        out: dict[str, dict[str, tf.Tensor]] = {task: {} for task in streams}
        for (task, key, value), tensor in zip(leaves, values, strict=True):
            out[task][key] = tf.ensure_shape(tensor, (None, *value.shape[1:]) if varying else value.shape)
        return out

    dataset = tf.data.Dataset.range(first_step, first_step + steps).map(batch_of, num_parallel_calls=1)
    dataset = dataset.prefetch(2)
    if got_batch is None:
        return dataset

    def mark() -> np.float32:
        got_batch()
        return np.float32(0.0)

    def handed_over(batch: Any) -> Any:
        with tf.control_dependencies([tf.numpy_function(mark, [], tf.float32)]):
            return tf.nest.map_structure(tf.identity, batch)

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # a batch would be marked before it is asked for
    return dataset.map(handed_over).with_options(options)
