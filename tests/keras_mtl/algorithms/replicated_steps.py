"""Run in a process of its own: steps of some algorithms on one replica and on two, and how far they are apart."""

import contextlib
import json
import sys

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, sys.argv[1])
import conftest as little
from keras_mtl import algorithms
from keras_mtl.augmentation import Augmentation
from keras_mtl.training import open_strategy
from keras_mtl.training.distribution import synchronise


def steps(algorithm, strategy, batches):
    with strategy.scope() if strategy else contextlib.nullcontext():
        keras.utils.set_random_seed(3)
        network = little.network(dropout=0.0)
        network.set_weights([w + 0.01 * i for i, w in enumerate(network.get_weights())])
        if strategy:
            synchronise(network)
        augment = Augmentation(
            mixup_alpha=0.3, roll_frames=4, frames_per_embedding=2, freq_mixstyle_probability=0.5, scenes=10
        )
        model = algorithm(network, augment=augment, ramp_steps=2)
        # Biases before batch normalisation have no gradient but rounding's, which a small epsilon would blow up.
        little.compiled(model, rate=1e-2, epsilon=1e-2)
    assert model.replicas.count == (2 if strategy else 1)
    step = tf.function(model.train_step, autograph=False)
    for batch in batches:
        shown = step(batch)
    parts = {"network": network, "teacher": model.teacher, "masking": model.masking}
    found = {name: [np.asarray(v) for v in part.variables] for name, part in parts.items() if part}
    found["optimizer"] = [np.asarray(v) for v in model.optimizer.variables]
    found["shown"] = [np.asarray(shown[name]) for name in sorted(shown)]
    found["held_out"] = [np.asarray(v) for v in model.test_step(batches[0]).values()]
    return found


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = open_strategy("mirrored")
    random = np.random.default_rng(5)
    batches = [
        {"scenes": little.scene_batch(random, 6), "events": little.event_batch(random, 3, 1, 2)} for _ in range(3)
    ]
    apart = {}
    for name in sys.argv[2:]:
        one, two = (steps(getattr(algorithms, name), each, batches) for each in (None, strategy))
        for part in one:
            pairs = zip(one[part], two[part], strict=True)
            worst = max(float(np.max(np.abs(a.astype(float) - b) / (1e-2 + np.abs(a)), initial=0.0)) for a, b in pairs)
            apart[f"{name}.{part}"] = worst
    print(json.dumps(apart))


main()
