"""Unigram segmentation in core TensorFlow ops, equal to the SentencePiece library's.

Axis letters: B texts, T pieces, N code points of all texts, S segments, U unique segments, M characters of the unique
segments after normalisation, A characters that occur in pieces.

 1. Decode to code points; look up the class of each, which is the character it becomes.
 2. Cut wherever no piece holds the two neighbours side by side, and before each space: no piece crosses such a cut, so
    each segment is segmented alone, and equal ones once.
 3. Viterbi from left to right over all unique segments at once. A window of trie states, one for each start of a
    piece, advances by one character a step. Segments are sorted by length, so the work is linear in characters.
 4. Walk back from the ends by pointer doubling, spell unknown characters as bytes, hand the pieces back to the texts.
"""

from __future__ import annotations

import tensorflow as tf

from seqpipe.text.byte_pieces import REPLACEMENT, WholePieces, byte_roles, whole_pieces
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.tokenizer_tables import PAGE_BITS, RANK_BITS, SPACE, tables
from seqpipe.text.trie import DEAD, ROOT
from seqpipe.text.vocabulary import FIRST_BYTE, PAD, UNKNOWN

RAW = tf.raw_ops
DEVICE = "CPU:0"  # strings and many small steps: nothing for an accelerator


class TextTokenizer(tf.Module):
    """Raw strings to piece ids and back, in the graph.

    Equal to `TextFeatures.encode` and `decode` on any bytes. Time is linear in characters.
    """

    def __init__(self, features: TextFeatures):
        super().__init__(name="text_tokenizer")
        known = tables(features)
        self._exact = features.exact
        self._characters = known.characters
        self._window = int(known.length.max())
        with tf.device(DEVICE):
            self._page, self._class_of = tf.constant(known.page), tf.constant(known.class_of)
            self._form_start, self._form = tf.constant(known.form_start), tf.constant(known.form)
            self._form_code, self._joined = tf.constant(known.form_code), tf.constant(known.joined)
            self._base, self._owner = tf.constant(known.trie.base), tf.constant(known.trie.owner)
            self._value = tf.constant(known.trie.value)
            self._length, self._piece = tf.constant(known.length), tf.constant(known.piece)
            self._surface, self._marked = tf.constant(known.surface), tf.constant(known.marked)

    def __call__(
        self, texts: tf.Tensor, max_pieces: int | tf.Tensor, head_pieces: int | tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Cuts texts into pieces.

        Args:
            texts: string [B], any bytes; invalid UTF-8 becomes U+FFFD.
            max_pieces: a longer row is cut to so many.
            head_pieces: how many of them are its first ones, the others its last; by default all.
        Returns:
            ids int32 [B, T], 0 beyond a length; T is the longest row after cutting.
            lengths int32 [B]; an empty text has length 0.
            truncated bool [B]: whether the row was cut.
        """
        head_pieces = max_pieces if head_pieces is None else head_pieces
        return self.tokenize(texts, *(tf.convert_to_tensor(limit, tf.int32) for limit in (max_pieces, head_pieces)))

    def pieces(self, ids: tf.Tensor) -> tf.Tensor:
        """The bytes each id stands for, string of the shape of ids; see `TextFeatures.pieces`."""
        return tf.gather(self._surface, ids)

    def whole_pieces(self, ids: tf.Tensor, lengths: tf.Tensor) -> WholePieces:
        """The pieces of ids int32 [B, T] as strings that are whole UTF-8 each: the bytes of a character are one."""
        with tf.device(DEVICE):
            real = tf.sequence_mask(lengths, tf.shape(ids)[1])
            return whole_pieces(self._surface, tf.where(real, ids, PAD), real)

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)], autograph=False
    )
    def detokenize(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Joins pieces to text, as `TextFeatures.decode` does.

        Args:
            ids: int32 [B, T]; what lies beyond a length is ignored.
            lengths: int32 [B].
        Returns:
            string [B], always valid UTF-8.
        """
        with tf.device(DEVICE):
            ids = tf.where(tf.sequence_mask(lengths, tf.shape(ids)[1]), ids, PAD)
            surface = tf.where(byte_roles(ids).stray, REPLACEMENT, self.pieces(ids))
            marked = tf.gather(self._marked, ids)
            # The library removes the word boundary of every piece before which there is no text yet.
            blank = tf.equal(surface, "") | (marked & tf.equal(surface, " "))
            leading = tf.math.cumprod(tf.cast(blank, tf.int32), axis=1, exclusive=True)
            skip = tf.where(marked, leading, 0)
            return tf.strings.reduce_join(tf.strings.substr(surface, skip, tf.strings.length(surface) - skip), axis=1)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)],
        autograph=False,
    )
    def tokenize(
        self, texts: tf.Tensor, max_pieces: tf.Tensor, head_pieces: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What calling the tokenizer does, max_pieces and head_pieces int32 []."""
        with tf.device(DEVICE):
            segments, row_splits, dropped = self._segments(texts)
            unique, which = tf.unique(segments)
            pieces, splits = self._unigram(unique)  # [pieces of unique segments], [U + 1]

            starts = tf.gather(splits, which)
            limits = tf.where(dropped, starts, tf.gather(splits, which + 1))
            order = _ranges(starts, limits)
            row_splits = tf.gather(order.rt_nested_splits, row_splits)  # [B + 1], in pieces
            whole = row_splits[1:] - row_splits[:-1]
            lengths = tf.minimum(whole, max_pieces)
            # Of each row, the first pieces up to `head`, then the last ones from `tail` on.
            head = row_splits[:-1] + tf.where(whole > max_pieces, head_pieces, whole)
            tail = row_splits[1:] - (lengths - (head - row_splits[:-1]))
            kept = _ranges(
                tf.reshape(tf.stack([row_splits[:-1], tail], 1), [-1]),
                tf.reshape(tf.stack([head, row_splits[1:]], 1), [-1]),
            )
            ids = RAW.RaggedTensorToTensor(
                shape=tf.stack([tf.size(texts), tf.reduce_max(tf.concat([lengths, [0]], 0))]),
                values=tf.gather(pieces, tf.gather(order.rt_dense_values, kept.rt_dense_values)),
                default_value=0,
                row_partition_tensors=[kept.rt_nested_splits[::2]],
                row_partition_types=["ROW_SPLITS"],
            )
            return ids, lengths, whole > max_pieces

    def _segments(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Cuts where no piece can cross.

        Returns:
            segments string [S]; row_splits int32 [B + 1] in segments; dropped bool [S]: a space that is followed by
            another or ends its text, but where pieces are exact.
        """
        begun = texts if self._exact else RAW.StringJoin(inputs=[" ", texts])
        decoded = RAW.UnicodeDecode(input=begun, input_encoding="UTF-8", errors="replace", Tsplits=tf.int32)
        codes = tf.concat([decoded.char_values, [ord(" ")]], 0)  # so that each text is followed by a space
        classes = self._classes(codes)
        is_space = tf.equal(classes, SPACE)
        pair = tf.minimum(classes, self._characters)
        pair = tf.bitwise.bitwise_and(pair[:-1] * (self._characters + 1) + pair[1:], self._joined.shape[0] - 1)
        cut = is_space[1:] | ~tf.gather(self._joined, pair)  # [N]
        if self._exact:  # else each text begins with a space
            begins = tf.scatter_nd(decoded.row_splits[1:, None], tf.ones_like(decoded.row_splits[1:]), [tf.size(codes)])
            cut |= begins[1:] > 0
        splits = tf.cast(RAW.Where(condition=tf.concat([[True], cut], 0))[:, 0], tf.int32)  # [S + 1]
        segments = RAW.UnicodeEncode(input_values=decoded.char_values, input_splits=splits, output_encoding="UTF-8")
        dropped = tf.gather(is_space[:-1] & is_space[1:] & (not self._exact), splits[:-1])
        return segments, _lower_bound(splits, decoded.row_splits), dropped

    def _classes(self, codes: tf.Tensor) -> tf.Tensor:
        page = tf.gather(self._page, tf.bitwise.right_shift(codes, PAGE_BITS))
        return tf.gather(self._class_of, page + codes)

    def _unigram(self, segments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The best pieces of each segment: ids int32 [pieces], splits int32 [U + 1]."""
        decoded = RAW.UnicodeDecode(input=segments, input_encoding="UTF-8", errors="replace", Tsplits=tf.int32)
        classes = self._classes(decoded.char_values)
        form = _ranges(tf.gather(self._form_start, classes), tf.gather(self._form_start, classes + 1))
        characters = tf.gather(self._form, form.rt_dense_values)  # [M]
        splits = tf.gather(form.rt_nested_splits, decoded.row_splits)  # [U + 1]

        last_piece, longest = self._viterbi(characters, splits)
        ends = self._walk_back(tf.gather(self._length, last_piece), splits, longest)
        pieces = tf.gather(self._piece, tf.gather(last_piece, ends))
        piece_splits = _lower_bound(ends, splits)

        def spelled() -> tuple[tf.Tensor, tf.Tensor]:
            unknown = tf.cast(tf.where(tf.equal(pieces, UNKNOWN))[:, 0], tf.int32)
            at = tf.gather(ends, unknown)
            code = tf.gather(self._form_code, tf.gather(form.rt_dense_values, at))
            raw = tf.gather(decoded.char_values, _lower_bound(form.rt_nested_splits, at + 1) - 1)
            utf8 = tf.strings.unicode_encode(tf.where(code < 0, raw, code)[:, None], "UTF-8")
            count = tf.strings.length(utf8)
            spelling = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(utf8), tf.uint8), tf.int32) + FIRST_BYTE
            total = tf.size(pieces)
            starts = tf.tensor_scatter_nd_update(
                tf.range(total), unknown[:, None], total + tf.cumsum(count, exclusive=True)
            )
            limits = starts + tf.tensor_scatter_nd_update(tf.ones_like(pieces), unknown[:, None], count)
            order = _ranges(starts, limits)
            return (
                tf.gather(tf.concat([pieces, spelling], 0), order.rt_dense_values),
                tf.gather(order.rt_nested_splits, piece_splits),
            )

        return tf.cond(tf.reduce_any(tf.equal(pieces, UNKNOWN)), spelled, lambda: (pieces, piece_splits))

    def _viterbi(self, characters: tf.Tensor, splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The rank of the last piece of the best path to each character, int32 [M], and the longest segment."""
        sizes = splits[1:] - splits[:-1]
        count = tf.size(sizes)  # U
        by_size = RAW.TopKV2(input=sizes, k=count)
        longest = tf.reduce_max(tf.concat([sizes, [0]], 0))
        steps = tf.range(longest)
        active = _lower_bound(-by_size.values, -steps)  # [longest]: segments longer than the step
        # The characters in the order of steps; within a step the longest segment first.
        first = tf.cast(steps, tf.int64) * tf.cast(count, tf.int64)
        grid = _ranges(first, first + tf.cast(active, tf.int64)).rt_dense_values
        step = grid // tf.cast(count, tf.int64)
        segment = grid - step * tf.cast(count, tf.int64)
        place = tf.gather(tf.gather(splits, by_size.indices), segment) + tf.cast(step, tf.int32)  # [M]
        columns = RAW.TensorListSplit(
            tensor=tf.gather(characters, place)[:, None],
            element_shape=tf.constant([-1, 1]),
            lengths=tf.cast(active, tf.int64),
        )
        paths = RAW.TensorListReserve(element_shape=tf.constant([-1, 1]), num_elements=longest, element_dtype=tf.int64)
        before = 1 - self._window  # the columns of a window that stay when it moves on

        def advance(step: tf.Tensor, states: tf.Tensor, scores: tf.Tensor, paths: tf.Tensor) -> tuple[tf.Tensor, ...]:
            column = RAW.TensorListGetItem(
                input_handle=columns, index=step, element_shape=tf.constant([-1, 1]), element_dtype=tf.int32
            )
            rows = tf.shape(column)[0]
            states = tf.pad(states[:rows, before:], [[0, 0], [0, 1]], constant_values=ROOT)  # [rows, window]
            child = tf.gather(self._base, states) + column
            states = tf.where(tf.equal(tf.gather(self._owner, child), states), child, DEAD)
            scores = scores[:rows]
            path = tf.reduce_max(scores + tf.gather(self._value, states), axis=1, keepdims=True)
            paths = RAW.TensorListSetItem(input_handle=paths, index=step, item=path)
            scores = tf.concat([scores[:, before:], tf.bitwise.bitwise_and(path, -1 << RANK_BITS)], 1)
            return step + 1, states, scores, paths

        *_, paths = tf.while_loop(
            lambda step, *_: step < longest,
            advance,
            (0, tf.zeros([count, 0], tf.int32), tf.zeros([count, 1], tf.int64), paths),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, None]),
                tf.TensorShape([None, None]),
                tf.TensorShape([]),
            ),
            parallel_iterations=1,
        )
        path = RAW.TensorListConcatV2(
            input_handle=paths,
            element_shape=tf.constant([-1, 1]),
            leading_dims=tf.zeros([0], tf.int64),
            element_dtype=tf.int64,
        ).tensor
        rank = tf.cast(tf.bitwise.bitwise_and(path[:, 0], (1 << RANK_BITS) - 1), tf.int32)
        return tf.scatter_nd(place[:, None], rank, tf.shape(characters)), longest

    def _walk_back(self, lengths: tf.Tensor, splits: tf.Tensor, longest: tf.Tensor) -> tf.Tensor:
        """Where the pieces of the best paths end, int32, ascending.

        Args:
            lengths: int32 [M], characters of the last piece of the best path to each character.
        """
        total = tf.size(lengths)
        # Place e is the end after e characters. The place before a segment's first piece is the end of the segment
        # before it, so all segments make one chain down to place 0.
        previous = tf.concat([[0], tf.range(1, total + 1) - lengths], 0)
        marked = tf.scatter_nd(splits[:, None], tf.ones_like(splits), tf.shape(previous))

        def double(hops: tf.Tensor, previous: tf.Tensor, marked: tf.Tensor) -> tuple[tf.Tensor, ...]:
            marked = tf.maximum(marked, tf.math.unsorted_segment_max(marked, previous, total + 1))
            return hops * 2, tf.gather(previous, previous), marked

        *_, marked = tf.while_loop(
            lambda hops, *_: hops < longest, double, (1, previous, marked), parallel_iterations=1
        )
        return tf.cast(tf.where(marked[1:] > 0)[:, 0], tf.int32)


def _ranges(starts: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    """starts[0]..limits[0] - 1, starts[1]..limits[1] - 1, ... in one row, and int32 splits between them."""
    return RAW.RaggedRange(starts=starts, limits=limits, deltas=tf.ones([], starts.dtype), Tsplits=tf.int32)


def _lower_bound(ascending: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """How many of ascending are smaller, int32, for each of values."""
    return RAW.LowerBound(sorted_inputs=ascending[None], values=values[None])[0]
