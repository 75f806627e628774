"""Same seed, same bytes: keeps TensorFlow from adding numbers in whatever order they happen to be ready."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_OPTION = "disable_meta_optimizer"


@contextlib.contextmanager
def same_bits() -> Iterator[None]:
    """Graphs that first run in this context give the same bits each time, on a CPU with the same number of threads.

    TensorFlow's graph optimizer turns sums of several gradients into accumulations in the order of arrival, also under
    `enable_op_determinism`. Without it a training step of `mt` takes 8 % longer.
    """
    before = tf.config.optimizer.get_experimental_options().get(_OPTION, False)
    tf.config.optimizer.set_experimental_options({_OPTION: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_OPTION: before})
