"""What becomes of the networks' golden results behind them: scenes that don't flicker, events that begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_mtl.causal_decoding import CausalDecoder
from keras_mtl.firmware_host.bundle.chain import Chain
from keras_mtl.scene_smoothing import SceneSmoother
from keras_mtl.tflite.artifact import dequantize

#: Steps of made-up scores behind those of the clip: in a clip little may happen.
MADE_UP_STEPS = 60
_SEED = 11
#: How often each golden output of a scene model is taken: often enough that it is believed.
CALLS_EACH = 3


def with_events(chain: Chain, decoding: dict[str, int], dtype: str) -> Chain:
    """A set's chain with `scores` and `changes` instead of `strong`, and `attention`, if there is some, in 16 bits.

    Args:
        chain: of a set.
        decoding: of `set_settings.event_settings`.
        dtype: of the scores, "int8" or "int16".

    Returns:
        `scores` int16 [steps + 60, events]: the clip's and, behind them, made-up ones. `attention` int16
        [steps, events].
        `changes` int32 [changes, 5]: onset, offset (0 while it lasts), label, whether it ended, sum of the scores.
    """
    results = dict(chain.results)
    strong = results.pop("strong")
    scores = np.concatenate([strong.astype(np.int16), _made_up(strong.shape[1], decoding["on_above"], dtype)])
    decoder = CausalDecoder(strong.shape[1], **decoding)
    found = [*decoder.push(scores), *decoder.finish()]
    rows = [(c.onset, c.offset, c.label, int(c.ended), c.score_sum) for c in found]
    changes = np.array(rows, np.int32).reshape(-1, 5)
    if "attention" in results:
        results["attention"] = results["attention"].astype(np.int16)
    return replace(chain, results=results | {"scores": scores, "changes": changes})


def with_scenes(chain: Chain, logits: np.ndarray, port: dict[str, Any]) -> Chain:
    """A chain with `scene` int16 [calls, 1], the scene that is believed after each call.

    Args:
        chain: any.
        logits: [calls, scenes], integers of the port.
        port: the output that gives them.
    """
    smoother = SceneSmoother(logits.shape[1])
    scenes = [smoother.push(each) for each in dequantize(logits, port)]
    return replace(chain, results=chain.results | {"scene": np.array(scenes, np.int16)[:, None]})


def scene_calls(first: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of the calls in a scene model's self-test [calls, scenes]: each output several times in a row."""
    return np.repeat(np.stack([first, *others]), CALLS_EACH, axis=0)


def _made_up(classes: int, threshold: int, dtype: str) -> np.ndarray:
    """Scores that wander about the threshold, int16 [60, classes]."""
    limits, generator = np.iinfo(dtype), np.random.default_rng(_SEED)
    spread = (int(limits.max) - int(limits.min)) // 8
    walk = np.cumsum(generator.integers(-spread, spread, (MADE_UP_STEPS, classes), endpoint=True), axis=0)
    return (threshold + walk - walk.mean(0).astype(int)).clip(limits.min, limits.max).astype(np.int16)
