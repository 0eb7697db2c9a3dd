"""What is printed of texts that a model writes."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from seqpipe.errors import DataError
from seqpipe.serving import composing, writer

TEXT = "a\tb\x07c"


def printed(monkeypatch, capsys, **how):
    def write(model, prompt, wishes, *, stop, seeds):
        if wishes.length == 0:
            raise DataError("length must be 1 or more")
        return [{"text": TEXT, "unknown": "q"} for _ in seeds]

    monkeypatch.setattr(writer, "written", write)
    monkeypatch.setattr(writer, "streamed", lambda *_, **__: iter(TEXT))
    err = io.StringIO()
    wishes = writer.Wishes(length=how.pop("length", None))
    how = {"stop": [], "seeds": [1], "as_json": False, **how}
    writer.print_written(SimpleNamespace(), "q", wishes, Console(file=err), **how)
    return capsys.readouterr().out, err.getvalue()


@pytest.mark.parametrize("stream", [False, True])
def test_writing_prints_a_text_as_it_is_and_warns(monkeypatch, capsys, stream):
    out, err = printed(monkeypatch, capsys, stream=stream)
    assert out == f"q{TEXT}\n"
    assert err == "warning: 1 characters of the prompt are unknown to this model: q\nseed 1\n"
    with pytest.raises(DataError, match="length must be 1 or more"):
        printed(monkeypatch, capsys, stream=True, length=0)


def test_composing_prints_a_text_as_it_is(monkeypatch, capsys):
    monkeypatch.setattr(composing, "composed", lambda *_, **__: [TEXT])
    composing.print_composed(SimpleNamespace(), "", composing.FormWishes(), Console(file=io.StringIO()), seeds=[1])
    assert capsys.readouterr().out == f"{TEXT}\n"
