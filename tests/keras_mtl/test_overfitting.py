"""Every network learns: a tiny batch of its own task is overfitted, and the loss falls to a tenth."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import SingleTask, SoftMTL
from keras_mtl.core import DCASE
from keras_mtl.models import build
from keras_mtl.recipes import SYSTEMS

CLIPS = 3
#: Frames of the event clips: a second or so keeps the large networks fast.
EVENT_FRAMES = {"cp_mobile_rnn": 160, "fdy_lka": 64}
#: `cp_mobile`'s logits are normalised over the batch: their scale has to grow. `fdy_lka` is wide.
RATES = {"cp_mobile": 1e-2, "fdy_lka": 1e-3}


def _batch(system):
    known, generator = SYSTEMS[system], np.random.default_rng(7)

    def log_mel(frames):
        return generator.normal(size=(CLIPS, frames, known.features.mel_bands, 1)).astype(np.float32)

    batch = {}
    if "scenes" in known.tasks:
        frames = known.features.frames(known.features.sample_rate_hz)
        batch["scenes"] = {"log_mel": log_mel(frames), "scene": np.array([2, 7, 4], np.int32)}
    if "events" in known.tasks:
        frames = EVENT_FRAMES.get(system, 80)
        count = frames // (16 if system == "cp_mobile_rnn" else 4)
        strong = np.zeros((CLIPS, count, 10), np.float32)
        for clip in range(CLIPS):
            strong[clip, clip + 1 : clip + 1 + count // 2, [clip, 5]] = 1.0
        known_labels = np.ones(CLIPS, np.float32)
        batch["events"] = {
            "log_mel": log_mel(frames),
            "strong": strong,
            "weak": strong.max(axis=1),
            "has_strong": known_labels,
            "has_weak": known_labels,
        }
    return keras.tree.map_structure(tf.constant, batch)


#: The others take up to a minute each.
SHORT = ("cnn", "crnn", "baseline_asc")


@pytest.mark.parametrize(
    "system", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.slow]) for name in SYSTEMS]
)
def test_the_loss_of_a_tiny_batch_falls_to_a_tenth(system):
    keras.utils.set_random_seed(1)
    # Dropout is there to prevent just this.
    options = {"dropout": 0.0} if system in ("baseline_asc", "baseline_sed", "fdy_lka") else None
    network, batch = build(system, DCASE, options=options), _batch(system)
    settings = {"mask_fraction": 0.0, "consistency_weight": 0.0}
    both = len(batch) == 2
    model = SoftMTL(network, **settings) if both else SingleTask(network, task=next(iter(batch)), **settings)
    optimizer = keras.optimizers.Adam(RATES.get(system, 3e-3))
    model.compile(optimizer=optimizer, jit_compile=False)
    optimizer.build(model.trained_variables())

    @tf.function
    def step():
        model.reset_metrics()
        return model.train_step(batch)["loss"]

    first = float(step())
    losses = [first]
    while losses[-1] > first / 10 and len(losses) < 300:
        losses.append(float(step()))
    assert losses[-1] <= first / 10, f"{system}: {first} to {losses[-1]} in {len(losses)} steps"
