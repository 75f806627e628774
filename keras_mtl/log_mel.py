"""Log-mel features in batches, in TensorFlow, for training (`features.py` has the definition and the settings)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_mtl.features import LogMelSettings, frame_window, mel_filters


class LogMel:
    """Computes log-mel levels of whole batches.

    Args:
        settings: the features' settings. `mean_db` and `std_db` are not applied here: levels are plain dB.

    Example:
        >>> LogMel(LogMelSettings())(np.zeros((2, 16_000), np.float32)).shape
        (2, 100, 128)
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self.settings = settings
        self._window = tf.constant(frame_window(settings), tf.float32)
        self._filters = tf.constant(mel_filters(settings), tf.float32)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Levels of clips of one length.

        Args:
            audio: float [clips, samples] in [-1, 1], or int16, at the settings' rate.

        Returns:
            float32 [clips, settings.frames(samples), mel_bands] in dB.
        """
        audio = np.asarray(audio)
        if audio.dtype == np.int16:
            audio = audio.astype(np.float32) / 32768.0
        return self._levels(tf.constant(audio, tf.float32)).numpy()

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32)])
    def _levels(self, audio: tf.Tensor) -> tf.Tensor:
        half = self.settings.fft // 2
        frames = self.settings.frames(tf.shape(audio)[1])
        padded = tf.pad(audio, [[0, 0], [half, half]])
        framed = tf.signal.frame(padded, self.settings.fft, self.settings.hop)[:, :frames]
        spectrum = tf.signal.rfft(framed * self._window)
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        mel = tf.tensordot(power, self._filters, axes=1)
        return (10.0 / np.log(10.0)) * tf.math.log(tf.maximum(mel, self.settings.floor))


def normalise(levels_db: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    """(levels - mean_db) / std_db as float32, any shape."""
    return ((levels_db.astype(np.float32)) - settings.mean_db) / settings.std_db
