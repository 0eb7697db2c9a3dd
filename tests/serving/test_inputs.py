from __future__ import annotations

import os

import pytest
import tensorflow as tf

from seqpipe.errors import DataError
from seqpipe.serving.inputs import TEXT, WAVEFORM, as_tensor


@pytest.mark.parametrize("value", [2**32 + 1, -(2**31) - 1, [1, 2**31]])
def test_tensor_of_a_number_that_does_not_fit_is_an_error(value):
    with pytest.raises(OverflowError, match="does not fit into int32"):
        as_tensor(value, tf.TensorSpec(None, tf.int32))


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), [1, 2]])
def test_tensor_of_a_number_that_fits_is_the_number(value):
    assert as_tensor(value, tf.TensorSpec(None, tf.int32)).numpy().tolist() == value


def test_tensor_of_another_shape_is_an_error():
    with pytest.raises(TypeError, match=r"\[1, 2\] has the shape \[2\], not \(\)"):
        as_tensor([1, 2], tf.TensorSpec((), tf.int32))


def test_waveform_of_a_folder_says_how_its_recordings_are_named(tmp_path):
    with pytest.raises(DataError, match=r"is a folder\. Name its recordings, such as .*/\*\.wav"):
        WAVEFORM.from_value(str(tmp_path))


def test_text_of_the_command_line_is_read_as_a_line_of_a_file_is():
    assert TEXT.from_word(os.fsdecode("schön 猫".encode())) == "schön 猫"
    with pytest.raises(DataError, match=r"is not UTF-8: .* 0xf6 .*Texts in another encoding: --input FILE"):
        TEXT.from_word(os.fsdecode(b"sch\xf6n film"))
