from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import tarfile

import pytest

from seqpipe import cli
from seqpipe.errors import ModelError
from seqpipe.serving.device_page.make import HERE, LITERT, make, packed

CARD = "---\ntask: speech_commands\nfigure: dev accuracy 90 % <b>\n---\n# tiny\n"


@pytest.fixture
def artefact(tmp_path):
    """As far as a page wants one."""
    place = tmp_path / "tiny" / "2"
    (place / "lite").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(b"")
    (place / "card.md").write_text(CARD)
    (place / "lite" / "report.json").write_text(json.dumps({"classes": ["yes", "</script>", "unknown", "silence"]}))
    for kind in ("float", "int8"):
        (place / "lite" / f"stream_{kind}.tflite").write_bytes(kind.encode() * 100)
    return place


def held(page, name):
    (text,) = re.findall(rf'id="packed-{name}">([^<]*(?:<(?!/script>)[^<]*)*)</script>', page)
    return gzip.decompress(base64.b85decode(text))


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_make_holds_the_model_and_the_runtime_and_asks_nobody(artefact, kind):
    page = make(artefact, int8=kind == "int8")
    assert held(page, "model") == kind.encode() * 100
    with tarfile.open(LITERT, "r:xz") as archive:
        for name, file in (("wasm", "litert.wasm"), ("loader", "loader.js"), ("litert", "litert.js")):
            assert held(page, name) == archive.extractfile(f"litert/{file}").read()
    assert len(page) < 4e6
    assert "<h1" in page
    assert ">tiny</h1>" in page
    assert "Version 2; dev accuracy 90 % &lt;b&gt;." in page
    assert 'id="facts">{"labels": ["yes", "\\u003c/script>"' in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "default-src 'none'" in page


def test_make_keeps_the_licence(artefact):
    page = make(artefact, int8=False)
    for line in ("Copyright 2025 Google LLC", "Apache License", "Version 2.0, January 2004"):
        assert line in page
    assert "Copyright 2025 Google LLC" in (HERE / "NOTICE").read_text()


def test_make_packs_without_what_ends_a_script():
    text = packed(bytes(range(256)) * 100)
    assert "/" not in text
    assert gzip.decompress(base64.b85decode(text)) == bytes(range(256)) * 100


def test_make_says_what_a_model_lacks(artefact):
    report = artefact / "lite" / "report.json"
    report.write_text("{}")
    with pytest.raises(ModelError, match="made by an older seqpipe, with types that no browser takes"):
        make(artefact, int8=False)
    (artefact / "lite" / "stream_float.tflite").unlink()
    with pytest.raises(ModelError, match=r"does not stream: it has no lite/stream_float\.tflite\. Train one with"):
        make(artefact, int8=False)
    report.unlink()
    with pytest.raises(ModelError, match=r"has no LiteRT files, which run in a page\. .* export .* --lite"):
        make(artefact, int8=False)
    (artefact / "pipeline.yaml").write_text("model: {streaming: true}")
    with pytest.raises(ModelError, match=r"has no LiteRT files"):
        make(artefact, int8=False)
    for pipeline in ("model: {streaming: false}", "model: {dropout: 0.1}"):
        (artefact / "pipeline.yaml").write_text(pipeline)
        with pytest.raises(
            ModelError, match=r"does not stream\. A page hears by a model that was trained with model\."
        ):
            make(artefact, int8=False)


def test_make_is_a_command(artefact, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["seqpipe", "page", str(artefact), "-o", str(tmp_path / "my.html")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "my.html: 3." in capsys.readouterr().out.replace("\n", "")
    assert (tmp_path / "my.html").read_text().startswith("<!doctype html>")
