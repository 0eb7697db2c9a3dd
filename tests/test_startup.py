from __future__ import annotations

import gc

from seqpipe.startup import uncollected


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
