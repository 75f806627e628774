"""The networks, as builders of functional Keras models, by the id of their system."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_mtl.core import Labels, LogMelSettings, RecipeError
from keras_mtl.models.baseline_asc import build_baseline_asc
from keras_mtl.models.baseline_sed import build_baseline_sed
from keras_mtl.models.cp_mobile import build_cp_mobile, build_cp_mobile_rnn
from keras_mtl.models.fdy_lka import build_fdy_lka
from keras_mtl.models.mt import build_cnn, build_crnn, build_mt
from keras_mtl.recipes import system_of

#: The builder of every system. Each takes `frames` and `mel_bands`, and widths, depths and class counts as it needs.
BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "baseline_asc": build_baseline_asc,
    "cp_mobile": build_cp_mobile,
    "baseline_sed": build_baseline_sed,
    "cp_mobile_rnn": build_cp_mobile_rnn,
    "cnn": build_cnn,
    "crnn": build_crnn,
    "mt": build_mt,
    "fdy_lka": build_fdy_lka,
}


def build(
    system: str,
    labels: Labels,
    features: LogMelSettings | None = None,
    options: Mapping[str, Any] | None = None,
    frames: int | None = None,
) -> keras.Model:
    """Builds a system by its id.

    Args:
        system: the id.
        labels: the classes: how many outputs the network has. A task without any gets no decoder.
        features: the features that it will be given; the system's own by default. They set the mel bands, and the
            frames where the network takes clips of one length only.
        options: arguments of the system's builder that differ from its defaults.
        frames: log-mel frames of the input; None for any number, where the network can.

    Raises:
        RecipeError: no such system, an option that its builder does not have, no class of the system's only task, or
            values that make no network.

    Example:
        >>> build("cnn", DCASE, options={"attention_units": 32})
    """
    known = system_of(system)
    features = features or known.features
    if frames is None and known.fixed_length:
        frames = features.frames(known.audio_seconds * features.sample_rate_hz)
    builder, options = BUILDERS[system], dict(options or {})
    counts = {task: len(labels.by_task()[task]) for task in known.tasks}
    if not any(counts.values()):
        raise RecipeError(f"system {system} is for {' and '.join(known.tasks)}, of which there are no classes")
    names = [name for name in inspect.signature(builder).parameters if name not in ("frames", "mel_bands", *counts)]
    for name in options:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"its options: {', '.join(names)}"
            raise RecipeError(f"system {system} has no option {name!r}", hint=hint)
    try:
        return builder(frames=frames, mel_bands=features.mel_bands, **counts, **options)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RecipeError(f"system {system} can't be built so: {reason}", hint="see the recipe's group model") from None
