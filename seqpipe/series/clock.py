"""Times as whole numbers: written times to seconds, the step between them, and the calendar.

A clock reads seconds since 1970 (`seconds`), months since 1970 (`months`), or plain numbers (`count`). The arithmetic
is whole-number arithmetic on `+ - * // %` alone, so numpy arrays and TensorFlow tensors get the same answers.
"""

from __future__ import annotations

import datetime
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from seqpipe.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

Kind = Literal["seconds", "months", "count", "rows"]
DAY_S = 86_400
LONGEST_FOLD_S = 7_200  # clocks are put back by no more
WEEK_S = 7 * DAY_S
EARLIEST_S, LATEST_S = -62_135_510_400, 253_402_214_400  # 0001-01-02 and 9999-12-31, in any zone a time of datetime
YEAR_S = 31_556_952  # the Gregorian mean, 365.2425 days
UNITS_S = {"s": 1, "min": 60, "t": 60, "h": 3600, "d": DAY_S, "w": WEEK_S}
UNITS_MONTHS = {"m": 1, "ms": 1, "me": 1, "q": 3, "qs": 3, "y": 12, "ys": 12, "a": 12}
UNIX_TIMES = {1: 10**9, 1000: 10**12, 10**6: 10**15}  # numbers from here to ten times as many are taken for them
QUARTER = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)
MONTH = re.compile(r"\d{4}-\d{2}")
DAY = re.compile(r"(1[89]|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")  # 20160701
MONTH_NUMBER = re.compile(r"(1[89]|20)\d\d(0[1-9]|1[0-2])")  # 201607
FORMS = [day + time for day in ("%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d") for time in ("", " %H:%M", " %H:%M:%S")]
NUMBER = re.compile(r"[+-]?\d+(\.0*)?")


@dataclass(frozen=True)
class Step:
    """What lies between two values: so many units of a clock."""

    kind: Kind
    size: int = 1

    def __str__(self) -> str:
        if self.kind == "seconds":
            for unit, seconds in (("W", WEEK_S), ("D", DAY_S), ("h", 3600), ("min", 60), ("s", 1)):
                if self.size % seconds == 0:
                    return f"{self.size // seconds}{unit}"
        return {"months": f"{self.size}MS", "count": f"{self.size}", "rows": "rows"}[self.kind]

    @property
    def whole_days(self) -> bool:
        return self.kind == "months" or (self.kind == "seconds" and self.size % DAY_S == 0)

    def ticks(self, clock: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        """Clock readings (seconds, numbers) as whole steps since the clock's zero."""
        return (months_of(clock) if self.kind == "months" else clock) // self.size

    def later(self, clock: np.ndarray | tf.Tensor, steps: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        """Clock readings so many steps later."""
        if self.kind != "months":
            return clock + steps * self.size
        return seconds_of_month(months_of(clock) + steps * self.size)


def parse_step(text: str) -> Step | None:
    """A step as it is written in a pipeline file; None for auto.

    Raises:
        DataError: it is none.
    """
    if text == "auto":
        return None
    if text == "rows":
        return Step("rows")
    found = re.fullmatch(r"(\d*)\s*([A-Za-z]+)", text)
    number = int(found[1] or 1) if found else int(text) if text.isascii() and text.isdigit() else 0
    if number > 0 and not found:
        return Step("count", number)
    unit = found[2].lower() if found else ""
    if number > 0 and unit in UNITS_S:
        return Step("seconds", number * UNITS_S[unit])
    if number > 0 and unit in UNITS_MONTHS:
        return Step("months", number * UNITS_MONTHS[unit])
    raise DataError(
        f'data.step = "{text}" is no step. Allowed: auto, rows, a whole number, or such as 30min, 1h, 1D, 1W, 1MS.'
    )


def months_of(seconds: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
    """Months since January 1970 of seconds since then; the civil calendar of Howard Hinnant's days_from_civil."""
    days = seconds // DAY_S + 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    return (year_of_era + era * 400) * 12 + month + 2 - 1970 * 12


def seconds_of_month(months: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
    """Seconds since 1970 of the first instant of a month."""
    shifted = months + 1970 * 12 - 2  # years begin in March
    year, month = shifted // 12, shifted % 12
    era = year // 400
    of_era = year - era * 400
    days = (153 * month + 2) // 5 + 365 * of_era + of_era // 4 - of_era // 100
    return (days + era * 146_097 - 719_468) * DAY_S


def zone(name: str) -> ZoneInfo:
    """Raises DataError: there is no such time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DataError(f'data.time_zone = "{name}" is no time zone, such as Europe/Paris or UTC.') from None


@dataclass(frozen=True)
class Times:
    """Written times of one table.

    clock: int64 [N], seconds since 1970 or plain numbers.
    kind: seconds or count.
    zoned: whether they name their distance from UTC.
    """

    clock: np.ndarray
    kind: Literal["seconds", "count"]
    zoned: bool = False


def parse_times(texts: list[str], *, counted: bool = False) -> tuple[Times, int | None]:
    """Times as they are written, and the index of the first that is none (then the times are useless).

    None is also what no clock can show: not a time, or beyond the years 1 to 9999.

    Args:
        counted: whole numbers are steps that are counted, whatever date they look like.
    """
    if counted and texts and NUMBER.fullmatch(texts[0].strip()):
        return _numbers(texts, {})
    times, bad = _parsed(texts)
    if bad is None and times.kind == "seconds":
        beyond = (times.clock < EARLIEST_S) | (times.clock > LATEST_S)
        bad = int(np.argmax(beyond)) if beyond.any() else None
    return times, bad


def _parsed(texts: list[str]) -> tuple[Times, int | None]:
    array = np.array(texts, dtype=np.str_)
    if not len(array):
        return Times(np.zeros(0, np.int64), "count"), None
    plain = [text.strip() for text in texts]
    first = plain[0]
    if all(map(DAY.fullmatch, plain)):
        return _parsed([f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in plain])
    if all(map(MONTH_NUMBER.fullmatch, plain)):
        return _parsed([f"{text[:4]}-{text[4:]}" for text in plain])
    if NUMBER.fullmatch(first):
        return _numbers(texts, UNIX_TIMES)
    if QUARTER.fullmatch(first):
        return _quarters(texts)
    array = np.char.strip(array)
    in_utc = np.char.endswith(np.char.upper(array), "Z")
    # numpy reads most forms at once; it takes words such as "today" for times too.
    if (in_utc.all() or not in_utc.any()) and np.char.isdigit(array.astype("U1")).all():
        try:
            with np.errstate(all="raise"), warnings.catch_warnings():
                warnings.simplefilter("error")  # what numpy only half understands
                bare = np.char.rstrip(array, "Zz").astype("datetime64[s]")
                return Times(bare.astype(np.int64), "seconds", bool(in_utc[0])), None
        except (ValueError, DeprecationWarning, UserWarning):
            pass
    clock, zoned = np.zeros(len(texts), np.int64), False
    for index, text in enumerate(array.tolist()):
        time = _iso(text)
        if time is None or (index and (time.tzinfo is not None) != zoned):
            return Times(clock, "seconds"), index
        zoned = time.tzinfo is not None
        clock[index] = round((time if zoned else time.replace(tzinfo=datetime.UTC)).timestamp())
    return Times(clock, "seconds", zoned), None


def at_month_starts(times: Times) -> Times | None:
    """Times that are all the last day of a month, as its first day; None of others."""
    clock = times.clock
    if times.kind != "seconds" or (clock % DAY_S).any() or (months_of(clock + DAY_S) == months_of(clock)).any():
        return None
    return Times(seconds_of_month(months_of(clock)), "seconds", times.zoned)


def _numbers(texts: list[str], unix_times: dict[int, int]) -> tuple[Times, int | None]:
    try:
        clock = np.array(texts, dtype=np.float64)
    except ValueError:
        bad = next(index for index, text in enumerate(texts) if not NUMBER.fullmatch(text.strip()))
        return Times(np.zeros(0, np.int64), "count"), bad
    whole = np.isfinite(clock) & (clock == np.floor(clock)) & (np.abs(clock) < 2**53)
    if not whole.all():
        return Times(np.zeros(0, np.int64), "count"), int(np.argmin(whole))
    numbers = clock.astype(np.int64)
    low, high = numbers.min(), numbers.max()
    for in_a_second, least in unix_times.items():
        if least <= low and high < 10 * least:
            return Times(numbers // in_a_second, "seconds", True), None
    return Times(numbers, "count"), None


def _quarters(texts: list[str]) -> tuple[Times, int | None]:
    clock = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts):
        found = QUARTER.fullmatch(text.strip())
        if found is None:
            return Times(clock, "seconds"), index
        clock[index] = seconds_of_month((int(found[1]) - 1970) * 12 + 3 * (int(found[2]) - 1))
    return Times(clock, "seconds"), None


def _iso(text: str) -> datetime.datetime | None:
    if MONTH.fullmatch(text):
        text += "-01"
    for form in (None, *FORMS):
        try:
            return datetime.datetime.fromisoformat(text) if form is None else datetime.datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def local_offsets(utc: np.ndarray, name: str) -> np.ndarray:
    """int64 [N], what is to be added to seconds UTC for the clocks of a zone."""
    of_zone = zone(name)
    hours, inverse = np.unique(utc // 900, return_inverse=True)  # clocks change on quarters of an hour
    offsets = [
        int(datetime.datetime.fromtimestamp(int(hour) * 900, of_zone).utcoffset().total_seconds())  # type: ignore[union-attr]
        for hour in hours
    ]
    return np.array(offsets, np.int64)[inverse] if len(hours) else np.zeros(0, np.int64)


def to_utc(local: np.ndarray, name: str) -> np.ndarray:
    """Seconds UTC of what clocks of a zone read, row by row; of an hour that comes twice, first the earlier.

    Rows that mostly go back are read from the end; of several runs, such as files named newest first, the earliest.
    """
    changes = np.diff(local)
    if np.sum(changes < 0) > np.sum(changes > 0):
        return to_utc(local[::-1], name)[::-1]
    runs = np.split(np.arange(len(local)), np.flatnonzero(changes < -LONGEST_FOLD_S) + 1)
    of_zone = zone(name)
    utc = np.zeros(len(local), np.int64)
    seen: set[int] = set()
    for index in np.concatenate(sorted(runs, key=lambda run: local[run[:1]].tolist())).tolist():
        seconds = int(local[index])
        time = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=of_zone, fold=int(seconds in seen))
        utc[index] = int(time.timestamp())
        seen.add(seconds)
    return utc


def infer_step(clocks: list[np.ndarray], kind: Literal["seconds", "count"]) -> Step:
    """The most common distance between neighbours, in calendar months where that is what it is.

    Args:
        clocks: sorted int64 [N] of each series, each reading once.
    Returns:
        A day, or 1 of a count, where no series has two values.
    """
    gaps = np.concatenate([np.diff(clock) for clock in clocks]) if clocks else np.zeros(0, np.int64)
    if not len(gaps):
        return Step("count", 1) if kind == "count" else Step("seconds", DAY_S)
    months = kind == "seconds" and gaps.min() >= 28 * DAY_S
    if months and all(np.ptp(clock - seconds_of_month(months_of(clock))) == 0 for clock in clocks):
        return Step("months", _commonest(np.concatenate([np.diff(months_of(clock)) for clock in clocks])))
    return Step(kind, _commonest(gaps))


def _commonest(gaps: np.ndarray) -> int:
    """The smallest of those that are equally common."""
    sizes, counts = np.unique(gaps, return_counts=True)
    return int(sizes[np.argmax(counts)])
