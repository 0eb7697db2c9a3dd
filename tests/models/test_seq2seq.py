from __future__ import annotations

from seqpipe.config.networks import Seq2Seq
from seqpipe.models import seq2seq
from seqpipe.training.devices import precision


def test_seq2seq_scores_in_float32_whatever_the_precision():
    with precision("mixed_bfloat16"):
        model = seq2seq(Seq2Seq(), source_vocabulary=9, target_vocabulary=9)
    assert {output.dtype for output in model.outputs} == {"float32"}
