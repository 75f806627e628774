"""What `keras_mtl sensitivity` prints for people."""

from __future__ import annotations

from typing import Any

from keras_mtl.core import Column, Table

_ADVICE = "an estimate and advice: a file has one scheme"
_COLUMNS = (
    Column("layer", "name"),
    Column("output", "output_snr_db", ".1f"),
    Column("activations", "activations_output_snr_db", ".1f"),
    Column("embeddings", "embeddings_snr_db", ".1f"),
    Column("accuracy", "accuracy_change", "+.3f"),
    Column("decided alike", "agreement", ".4f"),
)


def sensitivity_lines(document: dict[str, Any]) -> list[str]:
    """A document of `keras_mtl.sensitivity/1` as lines."""
    rows = document["layers"]
    every = {**document["all_layers"], "name": "all together", "activations_output_snr_db": None}
    width = max(len(row["name"]) for row in (*rows, every))
    accuracy = document["float_accuracy"]
    lines = [
        f"run      {document['run']}   ({document['part']}, {document['scheme']})",
        f"clips    {document['clips']:,} of {document['evaluation_clips']:,}"
        + ("" if accuracy is None else f"   float accuracy {accuracy:.3f}"),
        "",
        f"{'':{width}}  signal to noise in dB, each layer rounding alone",
        *Table(_COLUMNS, (*rows, every)).text(),
        "",
        *_costliest(rows),
    ]
    if document["proposal"]:
        lines += ["", *_proposal_lines(document["proposal"])]
    return lines


def _costliest(rows: list[dict[str, Any]]) -> list[str]:
    measured = [row for row in rows if row["output_snr_db"] is not None]
    if not measured:
        return []
    worst = min(measured, key=lambda row: row["output_snr_db"])
    activations = worst["activations_output_snr_db"]
    # 3 dB: more than half of the noise is the weights'.
    by = "its weights" if activations is None or activations > worst["output_snr_db"] + 3.0 else "its activations"
    also = ", which have 8 bits in either scheme" if by == "its weights" else ""
    return [f"{worst['name']} costs the most, {worst['output_snr_db']:.1f} dB, mostly by {by}{also}"]


def _proposal_lines(found: dict[str, Any]) -> list[str]:
    room = found["limit_bytes"] - found["interpreter_reserve_bytes"]
    lines = [
        f"proposal for {found['target']}   ({_ADVICE})",
        f"  arena    {found['limit_bytes']:,} bytes, {found['interpreter_reserve_bytes']:,} of them kept for the "
        f"interpreter: {room:,} for activations",
        f"  needed   about {found['int8_activation_bytes']:,} bytes in int8, "
        f"{found['int16_activation_bytes']:,} in int16x8",
    ]
    if not found["fits"]:
        return [*lines, "  nothing fits: the activations of int8 are more than that already"]
    if not found["int16_layers"]:
        return [*lines, "  no layer fits in int16: all stay in int8"]
    if not found["int8_layers"]:
        lines.append("  int16    all: convert with --format int16x8")
    else:
        lines += [f"  int16    {', '.join(found['int16_layers'])}", f"  int8     {', '.join(found['int8_layers'])}"]
    lines.append(f"  takes    about {found['activation_bytes']:,} bytes; {_gain(found, found['int8_snr_db'])}")
    if found["int8_layers"]:
        lines.append(_split_line(found["split"], found["int8_snr_db"]))
    return lines


def _split_line(split: dict[str, Any] | None, int8_snr_db: float | None) -> str:
    if split is None:
        return "  split    no two files fit and gain: leave it one int8 file"
    return (
        f"  split    as two files: {split['first']} up to {split['after']}, then {split['second']}; "
        f"about {split['activation_bytes']:,} bytes; {_gain(split, int8_snr_db)}"
    )


def _gain(found: dict[str, Any], int8_snr_db: float | None) -> str:
    gain = found["estimated_snr_gain_db"]
    estimated = "gain unknown" if gain is None else f"estimated gain {gain:.1f} dB"
    unrounded = f"{_decibels(int8_snr_db)} to {_decibels(found['unrounded_snr_db'])} dB"
    return f"{estimated} (with these activations unrounded: {unrounded})"


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
