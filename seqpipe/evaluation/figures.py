"""Figures in words: one way to write a number with its unit, and one for its interval.

A figure with an interval is a dict {value, low, high} that JSON can hold; shares are 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping


def number(value: float, *, scale: float = 1.0, decimals: int = 2, unit: str = "", signed: bool = False) -> str:
    """A value times scale with its unit; one that rounds to zero has no sign.

    >>> number(0.8), number(-0.012, scale=100, unit="points", signed=True), number(-1e-9, signed=True)
    ('0.80', '-1.20 points', '0.00')
    """
    scaled = round(scale * value, decimals)
    sign = "+" if signed and scaled else ""
    return f"{scaled or 0.0:{sign},.{decimals}f}{f' {unit}' if unit else ''}"


def percent(share: float, decimals: int = 2) -> str:
    """
    >>> percent(0.8721), percent(1, 0)
    ('87.21 %', '100 %')
    """
    return number(share, scale=100, decimals=decimals, unit="%")


def interval(
    figure: Mapping[str, float], *, scale: float = 1.0, decimals: int = 2, unit: str = "", signed: bool = False
) -> str:
    """A figure with its 95 % interval, whose bounds have a decimal less; those of a difference (signed) as many.

    >>> interval({"value": 24.301, "low": 23.96, "high": 24.9})
    '24.30 (95 % interval 24.0 to 24.9)'
    """
    value = number(figure["value"], scale=scale, decimals=decimals, unit=unit, signed=signed)
    fewer = decimals if signed else max(0, decimals - 1)
    low = number(figure["low"], scale=scale, decimals=fewer, signed=signed)
    high = number(figure["high"], scale=scale, decimals=fewer, unit=unit, signed=signed)
    return f"{value} (95 % interval {low} to {high})"


def percent_interval(figure: Mapping[str, float]) -> str:
    """
    >>> percent_interval({"value": 0.8, "low": 0.4902, "high": 0.9433})
    '80.00 % (95 % interval 49.0 to 94.3 %)'
    """
    return interval(figure, scale=100, unit="%")


def points_interval(difference: Mapping[str, float]) -> str:
    """The difference of two shares, in points.

    >>> points_interval({"value": 0.012, "low": -0.0004, "high": 0.0235})
    '+1.20 points (95 % interval -0.04 to +2.35 points)'
    """
    return interval(difference, scale=100, unit="points", signed=True)


def size(size_bytes: int) -> str:
    """
    >>> size(1_500), size(2_340_000)
    ('1.5 kB', '2.3 MB')
    """
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
