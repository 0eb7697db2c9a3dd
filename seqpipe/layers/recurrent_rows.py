"""The way from a padded batch into a loop over time, and back.

Axes: B batch, T time (steps of the batch), T' time (steps of the loop), C channels.
"""

from __future__ import annotations

import tensorflow as tf


def prefix_lengths(mask: tf.Tensor) -> tf.Tensor:
    """The lengths int32 [B] that a mask bool [B, T] says.

    Raises:
        InvalidArgumentError: a real step stands behind one that is not; where XLA compiles, it is not noticed.
    """
    mask = tf.cast(mask, tf.bool)
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    tf.debugging.assert_equal(
        mask,
        tf.sequence_mask(lengths, tf.shape(mask)[1]),
        message="A mask has a real step behind one that is not. Allowed: in each row first all real steps, then none.",
    )
    return lengths


class Rows:
    """Where the real steps of each row are.

    One gather does it all: transpose, turn rows around, fill up the last turn of the loop. Each real step is read
    once, so that the gradient of the way in is the way back, and the other way round.

    Args:
        x: [B, T, C], T at least 1.
        lengths: int32 [B], or None where every step is real; beyond T they count as T.
        backwards: the loop reads each row from its last real step to its first.
        multiple: T' is the next multiple of it from T.
    """

    def __init__(self, x: tf.Tensor, lengths: tf.Tensor | None, *, backwards: bool, multiple: int):
        batch, steps = tf.shape(x)[0], tf.shape(x)[1]
        loop_steps = (steps + multiple - 1) // multiple * multiple
        self.steps = steps
        self.lengths = None if lengths is None else tf.clip_by_value(tf.cast(lengths, tf.int32), 0, steps)  # [B]
        ends = tf.fill([batch], steps) if self.lengths is None else self.lengths
        row, step = tf.range(batch), tf.tile(tf.range(steps)[tf.newaxis], [batch, 1])
        # [B, T]: the step of the loop that reads each step, and [T', B]: the step each step of the loop reads
        self._turned = tf.where(step < ends[:, tf.newaxis], ends[:, tf.newaxis] - 1 - step, step)
        t = tf.range(loop_steps)[:, tf.newaxis]
        read = tf.maximum(ends - 1 - t if backwards else tf.minimum(t, ends - 1), 0)  # behind the end a real step again
        self._read = read + row * steps  # into [BT]
        self._home = (self._turned if backwards else step) * batch + row[:, tf.newaxis]  # into [T'B]
        real = t < (steps if self.lengths is None else self.lengths)
        self.loop_valid = real[:, :, tf.newaxis]  # [T', B or 1, 1]: whether the loop is at a real step
        self._valid = None if self.lengths is None else (step < ends[:, tf.newaxis])[:, :, tf.newaxis]  # [B, T, 1]

    def to_loop(self, x: tf.Tensor) -> tf.Tensor:
        """[B, T, C] -> [T', B, C]; beyond a row's end one of its real steps stands again, not its padding, and zeros
        stand in a row that has none."""

        def into(x: tf.Tensor) -> tf.Tensor:
            y = self._into(x)
            return y if self.lengths is None else tf.where((self.lengths > 0)[:, tf.newaxis], y, tf.zeros([], y.dtype))

        return tf.custom_gradient(lambda x: (into(x), self._back))(x)

    def from_loop(self, y: tf.Tensor) -> tf.Tensor:
        """[T', B, C] -> [B, T, C], each step's output at the step, zero where it is not real."""

        def gradient(dy):
            dy = self._into(dy)
            return tf.where(self.loop_valid, dy, tf.zeros([], dy.dtype))

        return tf.custom_gradient(lambda y: (self._back(y), gradient))(y)

    def in_loop_order(self, y: tf.Tensor) -> tf.Tensor:
        """[B, T, C] -> [B, T, C], outputs in the order in which the loop made them, as Keras' go_backwards has it."""
        return tf.gather(y, self._turned, batch_dims=1)  # what lies beyond a length stays there

    def at_end(self, states: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        """[T', B, C] -> [B, C], the state after the last real step of each row; first where there is none."""
        if self.lengths is None:
            return states[self.steps - 1]
        last = tf.maximum(self.lengths - 1, 0)
        found = tf.gather_nd(states, tf.stack([last, tf.range(tf.shape(states)[1])], axis=1))
        return tf.where(self.lengths[:, tf.newaxis] > 0, found, first)

    def _into(self, x: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.reshape(x, [-1, x.shape[-1]]), self._read)

    def _back(self, y: tf.Tensor) -> tf.Tensor:
        y = tf.gather(tf.reshape(y, [-1, y.shape[-1]]), self._home)
        return y if self._valid is None else tf.where(self._valid, y, tf.zeros([], y.dtype))
