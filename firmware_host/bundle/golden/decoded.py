"""What becomes of the networks' golden results behind them: scenes that don't flicker, events that begin and end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_mtl.decoding import DecodeSettings, EventDecoder, SceneSmoother, decoder_numbers
from keras_mtl.tflite.artifact import Artifact, Port

#: Steps of made-up scores behind those of the sound, in which little may happen.
MADE_UP_STEPS = 60
_SEED = 11
#: How often each golden output of a scene model is taken: often enough that it becomes the scene.
CALLS_EACH = 3


def event_numbers(artifact: Artifact) -> dict[str, int]:
    """How a device decodes the events of a streaming artifact.

    Returns:
        `median` in steps; `on_above`, `off_above` and `zero` in the integers of the probabilities.
    """
    strong = artifact.members[artifact.wiring.classifiers].outputs[0]
    return decoder_numbers(artifact.facts.decoding, artifact.step_s, strong.to_dict())


def decoded(strong: np.ndarray, numbers: dict[str, int]) -> dict[str, np.ndarray]:
    """What the event decoder makes of probabilities.

    Args:
        strong: the probabilities [steps, events], integers of the classifiers.
        numbers: of `event_numbers`.

    Returns:
        `scores` int16 [steps + 60, events]: these and, behind them, made-up ones.
        `changes` int32 [changes, 5]: onset, offset (0 while it lasts), label, whether it ended, sum of the scores.
    """
    made_up = _made_up(strong.shape[1], numbers["on_above"], strong.dtype)
    scores = np.concatenate([strong.astype(np.int16), made_up])
    decoder = EventDecoder(strong.shape[1], **numbers)
    found = [*decoder.push(scores), *decoder.finish()]
    rows = [(c.onset, c.offset, c.label, int(c.ended), c.score_sum) for c in found]
    return {"scores": scores, "changes": np.array(rows, np.int32).reshape(-1, 5)}


def smoothed(logits: np.ndarray, port: Port, decoding: DecodeSettings) -> dict[str, np.ndarray]:
    """`scene` int16 [calls, 1], the scene after each call.

    Args:
        logits: [calls, scenes], integers of the port.
        port: the output that gives them.
        decoding: weight and hold of the scenes.
    """
    smoother = SceneSmoother(logits.shape[1], decoding.scene_weight, decoding.scene_hold_calls)
    scenes = [smoother.push(each) for each in port.dequantize(logits)]
    return {"scene": np.array(scenes, np.int16)[:, None]}


def scene_calls(first: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of the calls in a scene model's self-test [calls, scenes]: each output several times in a row."""
    return np.repeat(np.stack([first, *others]), CALLS_EACH, axis=0)


def _made_up(classes: int, threshold: int, dtype: np.dtype) -> np.ndarray:
    """Scores that wander about the threshold, int16 [60, classes]."""
    limits, generator = np.iinfo(dtype), np.random.default_rng(_SEED)
    spread = (int(limits.max) - int(limits.min)) // 8
    walk = np.cumsum(generator.integers(-spread, spread, (MADE_UP_STEPS, classes), endpoint=True), axis=0)
    return (threshold + walk - walk.mean(0).astype(int)).clip(limits.min, limits.max).astype(np.int16)
