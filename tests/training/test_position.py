from __future__ import annotations

from seqpipe.training.position import HISTORY, Position, open_history, read_history


def test_history_is_cut_back_to_the_position_and_never_made_longer(tmp_path):
    for saved, kept in ((8, [{"a": 1}]), (16, [{"a": 1}, {"b": 2}]), (100, [{"a": 1}, {"b": 2}])):
        (tmp_path / HISTORY).write_bytes(b'{"a":1}\n{"b":2}\n')
        with open_history(tmp_path, Position(history_bytes=saved)) as file:
            file.write(b'{"c":3}\n')
        assert read_history(tmp_path) == [*kept, {"c": 3}]
