from __future__ import annotations

import gc
import os

import pytest

from seqpipe.startup import quietly, uncollected


def test_startup_imports_without_collecting_and_leaves_what_is_there_alone_later():
    before = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        gc.disable()
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


@pytest.mark.parametrize(("stop", "shown"), [(ValueError, "a native word"), (KeyboardInterrupt, "")])
def test_startup_shows_what_was_kept_back_where_it_failed_and_not_where_it_was_stopped(capfd, stop, shown):
    def native():
        with quietly():
            os.write(2, b"a native word")
            raise stop

    with pytest.raises(stop):
        native()
    assert capfd.readouterr().err == shown
