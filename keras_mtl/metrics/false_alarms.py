"""False alarms per hour of audio without events, with exact Poisson intervals.

Alarms that have nothing to do with each other are a Poisson process: of n of them in T hours the rate is n / T, and its
exact interval follows from the chi-square distribution (Garwood 1936). Without any alarm the interval still reaches up
to 3.7 / T per hour at 95 %: little audio says little, whatever was counted on it.
"""

from __future__ import annotations

from typing import Any

from scipy.stats import chi2

LEVEL = 0.95


def poisson_interval(count: int, exposure: float, level: float = LEVEL) -> tuple[float, float]:
    """The exact two-sided interval of a Poisson rate.

    Args:
        count: how often it happened.
        exposure: in how much of anything, as hours of audio; above 0.
        level: part of the intervals that hold the rate, at least.

    Returns:
        (low, high) per unit of the exposure: chi2(tail, 2 n) / 2 and chi2(1 - tail, 2 n + 2) / 2 over the exposure.
    """
    tail = (1.0 - level) / 2.0
    low = float(chi2.ppf(tail, 2 * count)) / 2.0 if count else 0.0
    return low / exposure, float(chi2.ppf(1.0 - tail, 2 * count + 2)) / 2.0 / exposure


def false_alarm_figures(count: int, hours: float, level: float = LEVEL) -> dict[str, Any]:
    """{"false_alarms", "per_hour", "interval"}: a count, its rate per hour, and [low, high] of that."""
    return {
        "false_alarms": int(count),
        "per_hour": count / hours,
        "interval": list(poisson_interval(count, hours, level)),
    }
