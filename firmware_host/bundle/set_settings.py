"""`set_settings.h`: what a firmware must know about a set beside its members: wiring, labels, features, decoding."""

from __future__ import annotations

from typing import Any

from keras_mtl.causal_decoding import integer_threshold
from keras_mtl.firmware_host.bundle.c_source import header, real
from keras_mtl.firmware_host.bundle.settings import feature_lines, label_lines, smoothing_lines
from keras_mtl.firmware_host.event_median import median_steps
from keras_mtl.tflite.artifact_set import ArtifactSet


def event_settings(artifacts: ArtifactSet) -> dict[str, int]:
    """How a device decodes a set's events.

    Returns:
        `median` in steps; `on_above`, `off_above` and `zero` in the classifiers' integers.
    """
    wiring, decoding = artifacts.wiring, artifacts.manifest["decoding"]
    port = artifacts.members[wiring.classifiers].manifest["outputs"][0]
    above = integer_threshold(decoding["threshold"], port["scale"], port["zero_point"], port["dtype"])
    median = median_steps(artifacts.manifest, wiring)
    return {"median": median, "on_above": above, "off_above": above, "zero": port["zero_point"]}


def set_settings_header(name: str, artifacts: ArtifactSet) -> str:
    """The text of `set_settings.h` (C and C++; macros only).

    Args:
        name: the set's identifier.
        artifacts: the set.
    """
    prefix, manifest, wiring = name.upper(), artifacts.manifest, artifacts.wiring
    windows, encoder = wiring.windows, artifacts.members[wiring.encoder].manifest
    decoding = event_settings(artifacts)
    lines = [
        "/* The encoder hears windows of WINDOW_FRAMES log-mel frames and gives an embedding for STRIDE of them. Those",
        " * from WINDOW_FIRST up to WINDOW_LAST see only their window. The event decoder hears CLIP_STEPS. */",
        *_macros(
            prefix,
            window_frames=windows.frames,
            window_embeddings=windows.embeddings,
            window_first=windows.first,
            window_last=windows.last,
            stride=windows.stride,
            embedding=encoder["outputs"][0]["shape"][-1],
            clip_frames=wiring.clip_frames,
            clip_steps=wiring.steps,
        ),
        *label_lines(prefix, manifest["labels"]),
        "",
        "/* For kmtl_event_decoder: steps of the median filter; an event begins above ON and lasts above OFF, in the",
        f" * classifiers' integers; both stand for a probability of {manifest['decoding']['threshold']:g}. */",
        *_macros(
            prefix,
            event_median=decoding["median"],
            event_on_above=f"({decoding['on_above']})",
            event_off_above=f"({decoding['off_above']})",
            event_zero=f"({decoding['zero']})",
        ),
        f"/* probability = EVENT_SCALE * (integer - EVENT_ZERO) */\n#define {prefix}_EVENT_SCALE {_scale(artifacts)}",
    ]
    if wiring.scene_head:
        lines += smoothing_lines(prefix, artifacts.members[wiring.scene_head].manifest["outputs"][0])
    lines += ["", *feature_lines(prefix, manifest["features"], encoder["inputs"][0])]
    return header(name, "set_settings.h", f"Settings of the set {name}.", "\n".join(lines))


def _macros(prefix: str, **values: Any) -> list[str]:
    return [f"#define {prefix}_{key.upper()} {value}" for key, value in values.items()]


def _scale(artifacts: ArtifactSet) -> str:
    return real(artifacts.members[artifacts.wiring.classifiers].manifest["outputs"][0]["scale"])
