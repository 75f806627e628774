"""The clips that both sides of `train_step.py` learn from: noise in the shapes of the real sets, from one seed."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Clips in memory; batches are drawn from them.
SCENE_CLIPS, EVENT_CLIPS = 512, 96
#: The paper's batches: 256 scene clips; 12 strong, 12 weak and 24 unlabelled event clips.
SCENE_BATCH, KINDS = 256, {"strong": 12, "weak": 12, "unlabelled": 24}
KINDS_OF_STEP = {"sed": ("events",), "asc": ("scenes",), "joint": ("scenes", "events")}


def scene_clips() -> dict[str, np.ndarray]:
    """float16 log-mel [clips, 100, 128] and a scene each."""
    rng = np.random.default_rng(0)
    log_mel = rng.standard_normal((SCENE_CLIPS, 100, 128), np.float32).astype(np.float16)
    return {"log_mel": log_mel, "scene": rng.integers(0, 10, SCENE_CLIPS)}


def event_clips() -> dict[str, Any]:
    """float16 log-mel [clips, 1000, 128], and for each clip an event as (class, onset_s, offset_s)."""
    rng = np.random.default_rng(1)
    log_mel = rng.standard_normal((EVENT_CLIPS, 1000, 128), np.float32).astype(np.float16)
    onsets = rng.uniform(0, 8, EVENT_CLIPS)
    events = [(int(rng.integers(10)), float(on), float(on) + 1.5) for on in onsets]
    return {"log_mel": log_mel, "events": events}
