"""`model_settings.h`: what a firmware must know about a model: shapes, quantization, labels, features, arena."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from keras_mtl.core import Labels
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.bundle.golden import has_scenes, numbered
from keras_mtl.firmware_host.c99 import header, real, string
from keras_mtl.firmware_host.device import C_TYPES
from keras_mtl.tflite.artifact import Member, Port


def settings_header(
    name: str,
    member: Member,
    measured_arena_bytes: int = 0,
    arena_bytes: tuple[int, int] | None = None,
    file: str = "model_settings.h",
) -> str:
    """The text of a network's settings (C and C++; macros only).

    `measured_arena_bytes`: what TensorFlow Lite Micro used on the host. `arena_bytes`: as of `arena_lines`; None for a
    network that needs no arena.
    """
    prefix = name.upper()
    inputs, outputs, facts = member.inputs, member.outputs, member.facts
    lines = [
        "#include <stdint.h>",
        "",
        *(_arena(prefix, measured_arena_bytes, arena_bytes) if arena_bytes else ()),
        *_ports(prefix, "input", inputs),
        *_ports(prefix, "output", outputs),
        f"/* The output is {facts.get('output') or 'as the network gives it'}. */",
    ]
    lines += label_lines(prefix, facts.labels)
    features = facts.get("features")
    if isinstance(features, dict):
        lines += ["", *feature_lines(prefix, features, inputs[0])]
    if has_scenes(member):
        lines += smoothing_lines(prefix, outputs[0], facts.decoding)
    if facts.get("audio_seconds"):
        lines += ["", f"#define {prefix}_AUDIO_SECONDS {real(facts.audio_seconds)}"]
    return header(name, file, f"Settings of {name}.", "\n".join(lines))


def _arena(prefix: str, measured: int, planned: tuple[int, int]) -> list[str]:
    return [
        "/* The tensor arena. For a device it is planned with the scratch memory of the target's kernels, what the",
        " * start takes, and a small reserve. On a PC (64 bit, reference kernels) ARENA_MEASURED_BYTES were used. */",
        f"#define {prefix}_ARENA_MEASURED_BYTES {measured}",
        *arena_lines(prefix, planned),
        "",
    ]


def arena_lines(prefix: str, arena_bytes: tuple[int, int]) -> list[str]:
    """The macro of an arena's size. `arena_bytes`: for a device of 32 bit and for a PC, whose structures are larger."""
    device, pc = arena_bytes
    return [
        "#if UINTPTR_MAX <= 0xFFFFFFFFu",
        f"#define {prefix}_ARENA_BYTES {device}",
        "#else /* a PC */",
        f"#define {prefix}_ARENA_BYTES {pc}",
        "#endif",
    ]


def _ports(prefix: str, kind: str, ports: Sequence[Port]) -> list[str]:
    """Macros of the inputs or outputs; where there are several, with a number and what the tensor is called."""
    lines = []
    for place, port in enumerate(ports):
        if len(ports) > 1:
            # A name may hold anything, the end of a comment too.
            name = re.sub(r"[^\w./:;-]", "_", port.name, flags=re.ASCII)
            lines.append(f"/* {kind.capitalize()} {place}: {name}. */")
        lines += [*_port(f"{prefix}_{numbered(kind, place, len(ports)).upper()}", port), ""]
    return lines


def _port(prefix: str, port: Port) -> list[str]:
    shape = "x".join(map(str, port.shape))
    lines = [
        f"/* {port.dtype}, shape {shape}. */",
        f"#define {prefix}_TYPE {C_TYPES[port.dtype]}",
        f"#define {prefix}_ELEMENTS {port.elements}",
    ]
    if port.scale is not None:
        lines += [
            f"/* real = {prefix}_SCALE * (integer - {prefix}_ZERO_POINT) */",
            f"#define {prefix}_SCALE {real(port.scale)}",
            f"#define {prefix}_ZERO_POINT ({port.zero_point})",
        ]
    return lines


def label_lines(prefix: str, labels: Labels) -> list[str]:
    """Macros of the classes of each task: UTF-8, with what is not ASCII escaped."""
    lines = []
    for task, names in labels.to_dict().items():
        lines += [
            "",
            f"/* Classes in the order of the output. Use: static const char* const labels[] = {prefix}_..._LABELS; */",
            f"#define {prefix}_{task.upper()}_COUNT {len(names)}",
            f"#define {prefix}_{task.upper()}_LABELS {{{', '.join(string(name) for name in names)}}}",
        ]
    return lines


def smoothing_lines(prefix: str, port: Port, decoding: DecodeSettings) -> list[str]:
    """Macros for `kmtl_scene_smoother`."""
    return [
        "",
        "/* For kmtl_scene_smoother: share of the newest call in the mean, calls in a row that a new scene needs, and",
        " * what a step of the logits is worth. */",
        f"#define {prefix}_SCENE_WEIGHT {real(decoding.scene_weight)}",
        f"#define {prefix}_SCENE_HOLD {decoding.scene_hold_calls}",
        f"#define {prefix}_SCENE_SCALE {real(port.scale)}",
    ]


def decoder_words(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Initializers for `kmtl_event_decoder`.

    Args:
        numbers: as of `event_numbers`.

    Returns:
        `each`: the rows of an array of that name of `kmtl_event_class_t`; `settings`: the fields of
        `kmtl_event_settings_t`, which names that array; `median`: the longest of the classes'.
    """
    keys = ("median", "on_above", "off_above", "shortest", "gap")
    rows = [
        f"    {{{median}u, {on}, {off}, {shortest}u, {gap}u}},"
        for median, on, off, shortest, gap in zip(*(numbers[key] for key in keys), strict=True)
    ]
    longest = f"{max(numbers['median'])}u"
    return {
        "each": "\n".join(rows),
        "settings": f"{len(rows)}u, {longest}, {numbers['zero']}, each",
        "median": longest,
    }


def feature_lines(prefix: str, features: dict[str, Any], source: Port) -> list[str]:
    """Macros of the features, and of their way into the network's input."""
    if "window" in features:  # files from before these settings
        features = {"fft": features["window"], "keep_last_frame": False} | features
    last = "is a frame too (KEEP_LAST_FRAME)" if features.get("keep_last_frame") else "is no frame"
    lines = [
        "/* The log-mel features that the network was trained on. Frame t is centred at sample t * HOP with zeros",
        f" * beyond the ends; what is centred on the end of the clip {last}. Periodic Hann window of WINDOW samples",
        " * in the middle of FFT points, zeros around it: (FFT - WINDOW) / 2 before it; power spectrum; HTK mel",
        " * filters, not normalised; dB = 10 * log10(max(power, FLOOR)). */",
    ]
    for key, value in features.items():
        if isinstance(value, bool | int | float):
            lines.append(f"#define {prefix}_{key.upper()} {int(value) if isinstance(value, int) else real(value)}")
    mean, spread = features.get("mean_db"), features.get("std_db")
    if spread and mean is not None:
        scale, zero_point = source.scale or 1.0, source.zero
        rounded = (
            "clamp(round(dB * INPUT_PER_DB + INPUT_AT_0_DB))" if source.scale else ("dB * INPUT_PER_DB + INPUT_AT_0_DB")
        )
        lines += [
            "/* Normalisation and quantization in one step:",
            f" * input = {rounded} */",
            f"#define {prefix}_INPUT_PER_DB {real(1 / (spread * scale))}",
            f"#define {prefix}_INPUT_AT_0_DB {real(zero_point - mean / (spread * scale))}",
        ]
    return lines
