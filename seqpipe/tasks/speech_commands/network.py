"""A trained recogniser of commands for serving: normalisations folded in, whole clips or a stream.

A step of the network takes `stride` frames. What a later step of a stream needs of the past is the state: the last
frames before each convolution, the state of each recurrence, and the last outputs, over which the pooling goes. All
zeros is the state before the first frame.

Axes: B batch (rows), K new steps, T time (frames), F mel bands, C classes, U units.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from seqpipe.layers import SpectrogramBlock
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.layers.spectrogram import FoldedBlock

State = dict[str, tf.Tensor]


class CommandsNetwork:
    """The layers of a model of `seqpipe.models.commands_model`.

    weights: what the layers keep in a SavedModel.
    state: of a streaming model, by name: what `advance` takes and gives.
    """

    def __init__(self, model: keras.Model):
        self.scale, self.projection = model.get_layer("scale"), model.get_layer("projection")
        blocks = [layer for layer in model.layers if isinstance(layer, SpectrogramBlock)]
        self.blocks = [FoldedBlock(block) for block in blocks]
        names = {layer.name for layer in model.layers}
        self.recurrent = [x for x in model.layers if isinstance(x, (keras.layers.RNN, keras.layers.Bidirectional))]
        self.pooling, self.logits = model.get_layer("pooling"), model.get_layer("logits")
        rest = [self.scale, self.projection, *self.recurrent, self.pooling, self.logits]
        self.weights = [v.value for layer in rest for v in layer.weights]
        self.weights += [variable for block in self.blocks for variable in block.weights]
        self.stride = blocks[0].stride_frames
        self.state: dict[str, tf.TensorSpec] = {}
        if "window" not in names:
            return
        self.window_steps = model.get_layer("window").steps

        def state(name: str, *shape: int) -> None:
            self.state[name] = tf.TensorSpec([None, *shape], tf.float32, name=name)

        for number, block in enumerate(blocks, start=1):
            state(f"frames_{number}", block.span - block.stride_frames, *block.input[0].shape[2:])
        for name, layer in self._tensors_of_state():
            state(name, layer.units)
        state("window", self.window_steps, self.recurrent[-1].units)

    def _tensors_of_state(self) -> list[tuple[str, keras.layers.RNN]]:
        """Name and layer of each tensor that a recurrence carries on: h, and c of an LSTM."""
        return [
            (f"recurrent_{number}{suffix}", layer)
            for number, layer in enumerate(self.recurrent, start=1)
            for suffix in (("_h", "_c") if isinstance(layer, keras.layers.LSTM) else ("",))
        ]

    def whole(self, clips: tf.Tensor) -> tf.Tensor:
        """Logits [B, C] of whole clips [B, T, F] in decibels; of a streaming model, T no more than it pools over."""
        x = self.scale(clips)
        for block in self.blocks:
            x = block(x)
        x = self._projected(x)
        for layer in self.recurrent:
            with traced_for("serving"):
                x = layer(x)[0] if self.state else layer(x)
        pooled, _ = self.pooling(x, tf.fill([tf.shape(x)[0]], tf.shape(x)[1]))
        return self.logits(pooled)

    def advance(self, spectrogram: tf.Tensor, state: State, *, first: tf.Tensor) -> State:
        """The state after frames [B, K * stride, F] in decibels, K > 0.

        Args:
            first: bool, whether these are the first frames: then stride - 1 of them lie before the first sample.
        """
        x = self.scale(spectrogram)
        real = tf.range(x.shape[1] or tf.shape(x)[1]) >= tf.where(first, self.stride - 1, 0)
        x = tf.ensure_shape(tf.where(real[:, tf.newaxis], x, 0.0), x.shape)
        after: State = {}
        for number, block in enumerate(self.blocks, start=1):
            x, after[f"frames_{number}"] = block.stream(x, state[f"frames_{number}"])
        x = self._projected(x)  # [B, K, projection]
        for layer in self.recurrent:
            names = [name for name, of in self._tensors_of_state() if of is layer]
            before = [state[name] for name in names]
            if x.shape[1] == 1:
                ends = layer.step(x[:, 0], before)
                x = ends[0][:, tf.newaxis]
            else:
                with traced_for("serving"):
                    x, *ends = layer(x, initial_state=before)  # [B, K, U]
            after |= dict(zip(names, ends, strict=True))
        # The newest stands first, so that what is not there yet stands last, as padding does.
        window = tf.concat([tf.reverse(x, [1]), state["window"]], axis=1)[:, : self.window_steps]
        return {**after, "window": tf.ensure_shape(window, self.state["window"].shape)}

    def pooled(self, window: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        """What the logits are made of, [B, U], from the last outputs [B, window, U], newest first, after `steps`.

        Zeros after no step.
        """
        pooled, _ = self.pooling(window, tf.fill([tf.shape(window)[0]], tf.minimum(steps, self.window_steps)))
        return pooled

    def _projected(self, x: tf.Tensor) -> tf.Tensor:
        """[B, T, F, C] to [B, T, projection], by one product."""
        flat = self.projection(tf.reshape(x, [-1, x.shape[2] * x.shape[3]]))
        return tf.reshape(flat, [-1, x.shape[1] or tf.shape(x)[1], flat.shape[1]])
