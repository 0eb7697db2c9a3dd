from __future__ import annotations

import numpy as np

from seqpipe.data.examples import Examples, Ragged, cached, content_key


def make():
    ids = Ragged.from_rows(np.array(row, np.int32) for row in ([1, 2, 3], [], [4]))
    return Examples({"ids": ids, "label": np.array([0, 1, 0], np.int32)})


def test_examples_batch_pads_to_the_longest_row():
    batch = make().batch(np.array([2, 0]))
    assert batch["ids"].tolist() == [[4, 0, 0], [1, 2, 3]]
    assert batch["ids_lengths"].tolist() == [1, 3]
    assert batch["label"].tolist() == [0, 0]


def test_examples_batch_of_empty_rows_has_one_step():
    assert make().batch(np.array([1]))["ids"].tolist() == [[0]]


def test_cached_computes_once_and_gives_the_same(tmp_path):
    calls = []

    def counted():
        calls.append(1)
        return make()

    for _ in range(2):
        examples = cached(tmp_path, "key", counted)
    assert len(calls) == 1
    for name, value in make().batch(np.arange(3)).items():
        np.testing.assert_array_equal(examples.batch(np.arange(3))[name], value)


def test_cached_is_memory_mapped_when_large(tmp_path):
    big = Examples({"ids": Ragged.from_rows([np.zeros(1000, np.int32)])})
    assert isinstance(cached(tmp_path, "key", lambda: big).columns["ids"].values, np.memmap)
    assert not isinstance(cached(tmp_path, "small", make).columns["ids"].values, np.memmap)


def test_cached_never_reads_a_stale_key_and_removes_it(tmp_path):
    cached(tmp_path, "old", make)
    other = Examples({"ids": Ragged.from_rows([np.array([9], np.int32)])})
    assert cached(tmp_path, "new", lambda: other).batch(np.array([0]))["ids"].tolist() == [[9]]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_content_key_changes_with_every_part():
    keys = {
        content_key(["a", "b"], np.array([1])),
        content_key(["ab"], np.array([1])),
        content_key(["a", "b"], np.array([2])),
        content_key(["a", "b"], np.array([1], np.int8)),
        content_key(["a"], ["b"], np.array([1])),
    }
    assert len(keys) == 5


def test_examples_lengths_are_of_the_longest_ragged_column():
    target = Ragged.from_rows([np.zeros(1, np.int32), np.zeros(2, np.int32), np.zeros(0, np.int32)])
    assert Examples({**make().columns, "target": target}).lengths.tolist() == [3, 2, 1]


def test_examples_ragged_takes_rows_in_the_order_asked_for():
    ids = make().columns["ids"]
    some, none = ids.take(np.array([2, 0, 1])), ids.take(np.array([], int))
    assert [some.row(i).tolist() for i in range(len(some))] == [[4], [1, 2, 3], []]
    assert (len(none), none.lengths.tolist(), none.values.tolist()) == (0, [], [])


def test_examples_without_a_ragged_column_have_rows_of_one_step():
    assert Examples({"label": np.arange(3)}).lengths.tolist() == [1, 1, 1]
