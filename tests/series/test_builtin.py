"""The generated shops: their options, their columns and what is in their values."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.errors import DataError
from seqpipe.series.builtin import builtin_rows, generate


def test_builtin_series_are_written_as_a_table_of_texts():
    columns, rows = builtin_rows("builtin:series?rows=30&series=5&seed=3")
    rows = list(rows)
    assert all(list(row) == columns for row in rows)
    assert columns == ["series", "time", "value", "offer", "visitors", "region"]
    names = ["harbour", "market", "station", "shop4", "shop5"]
    assert [row["series"] for row in rows] == [name for name in names for _ in range(30)]
    assert [row["region"] for row in rows[::30]] == ["coast", "inland", "coast", "inland", "coast"]
    assert [rows[at]["time"] for at in (0, 23, 24, 30)] == [
        "2024-01-01T00:00",
        "2024-01-01T23:00",
        "2024-01-02T00:00",
        "2024-01-01T00:00",
    ]
    values, offer, visitors = generate(30, seed=3, number=1)
    assert np.isnan(values).any()
    shown = [(row["value"], row["offer"], row["visitors"]) for row in rows[30:60]]
    cells = zip(values, offer, visitors, strict=True)
    assert shown == [("" if np.isnan(v) else f"{v:.2f}", f"{o:.0f}", f"{n:.0f}") for v, o, n in cells]


def test_builtin_series_by_default_are_three_of_a_hundred_days_with_the_first_seed():
    rows = list(builtin_rows("builtin:series")[1])
    assert len(rows) == 3 * 2400
    assert rows == list(builtin_rows("builtin:series?rows=2400&series=3&seed=1")[1])


@pytest.mark.parametrize(
    ("options", "count"), [("seed=0", 30), ("seed=2147483647", 30), ("series=1", 10), ("series=1000", 10_000)]
)
def test_builtin_series_take_options_up_to_their_bounds(options, count):
    assert len(list(builtin_rows(f"builtin:series?rows=10&{options}")[1])) == count
    assert builtin_rows("builtin:series?rows=1000000")[0][0] == "series"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("serie", r'builtin:serie: "serie" is not a builtin data set of series\. Allowed: series\.'),
        ("series?row=10", r'"row" is not a key\. Allowed: rows, series, seed\. Did you mean rows'),
        ("series?rows=1000001", r"whole numbers from 10 to 1000000"),
        ("series?rows=9", r'rows = "9" is not allowed\. Allowed: whole numbers from 10 to 1000000\.'),
        ("series?series=1001", r"series = "),
        ("series?series=0", r"series = .* whole numbers from 1 to 1000\."),
        ("series?seed=-1", r"seed = .* whole numbers from 0 to 2147483647\."),
    ],
)
def test_builtin_series_refuse_what_there_is_not(source, message):
    with pytest.raises(DataError, match=message):
        builtin_rows(f"builtin:{source}")


# Recorded: whoever compares figures on these series relies on them.
@pytest.mark.parametrize(
    ("number", "mean", "lowest", "highest", "offers", "visitors", "gaps"),
    [
        (
            0,
            199.22158096782357,
            62.8848288248023,
            363.47881537144593,
            240,
            66.57499231840553,
            [(412, 428), (1224, 1229)],
        ),
        (1, 62.84789942909552, 17.151410586820067, 112.91512982394255, 112, 58.419773898591075, [(89, 94), (472, 482)]),
    ],
)
def test_builtin_series_stay_what_they_were(number, mean, lowest, highest, offers, visitors, gaps):
    values, offer, visited = generate(1300, seed=1, number=number)
    found = [np.nanmean(values), np.nanmin(values), np.nanmax(values), visited.mean()]
    np.testing.assert_allclose(found, [mean, lowest, highest, visitors], rtol=1e-9)
    assert offer.sum() == offers
    missing = np.flatnonzero(np.isnan(values))
    assert missing.tolist() == [at for first, last in gaps for at in range(first, last + 1)]


def test_builtin_series_differ_by_number_and_by_seed_and_end_with_a_value():
    for rows in (10, 599, 1300):
        for number in range(20):
            values, offer, visitors = generate(rows, seed=2, number=number)
            assert values.shape == offer.shape == visitors.shape == (rows,)
            assert np.isfinite(values[-1])
            assert visitors.min() >= 0
            assert all(len(set(offer[at : at + 12])) == 1 for at in range(0, rows, 12))
    first, second, third = (generate(50, seed=seed, number=n)[2][0] for seed, n in ((1, 0), (1, 1), (2, 0)))
    assert len({first, second, third}) == 3
