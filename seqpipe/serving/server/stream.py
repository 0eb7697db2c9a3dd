"""Microphones by WebSocket: pieces of sound in, what is heard out; pieces of several clients are answered together.

A client sends binary messages of samples, 16 kHz, one channel: float32 in -1..1, or int16 after the text message
{"format": "int16"}. For each step of the model it gets {"probabilities": {...}, "label", "probability", "seconds"}, and
{"heard": {...}} for a command.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from seqpipe.serving.listening import PIECE_MS, Detector, Hearing
from seqpipe.serving.server.errors import RequestError

if TYPE_CHECKING:
    from seqpipe.serving.server.rest import Server

RATE_HZ = 16_000
MOST_CLIENTS = 64
LONGEST_MESSAGE_S = 10.0
TRY_LATER, REFUSED = 1013, 1008  # close codes


class Streams:
    def __init__(self, server: Server):
        self.server = server
        self.clients = 0

    async def serve(self, socket: WebSocket) -> None:
        try:
            self.server.allow(socket)  # type: ignore[arg-type]  # it has headers and an address too
            servable = self.server.models.get(socket.path_params["name"])
            if "stream" not in servable.signatures:
                raise RequestError(400, f"{servable.name} does not stream: it has no signature stream.")
        except RequestError as error:
            await socket.accept()
            await socket.send_text(json.dumps({"error": error.text}))
            await socket.close(REFUSED)
            return
        await socket.accept()
        if self.clients >= MOST_CLIENTS or self.server.draining:
            await socket.close(TRY_LATER)
            return
        self.clients += 1
        try:
            await self._listen(socket, servable)
        except WebSocketDisconnect:
            return
        except RequestError as error:
            await socket.send_text(json.dumps({"error": error.text}))
            await socket.close(REFUSED)
        finally:
            self.clients -= 1

    async def _listen(self, socket: WebSocket, servable: Any) -> None:
        specs = servable.signature("stream").inputs
        state = {
            name: np.zeros((1, *(spec.shape or (1,))[1:]), spec.numpy)
            for name, spec in specs.items()
            if name != "waveform"
        }
        labels, size = servable.labels, RATE_HZ * PIECE_MS // 1000
        hearing = Hearing(Detector(), labels)
        left, kind, seconds = np.zeros(0, np.float32), "float32", 0.0
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                kind = _format(message["text"])
                continue
            left = np.concatenate([left, _samples(message.get("bytes") or b"", kind)])
            for start in range(0, len(left) - size + 1, size):
                inputs = {"waveform": left[None, start : start + size], **state}
                outputs = await self.server.batcher.answer(
                    servable, "stream", inputs, timeout_s=self.server.settings.timeout_s
                )
                state = {name: outputs[name] for name in state}
                seconds += PIECE_MS / 1000
                probabilities = outputs["probabilities"][0]
                await socket.send_text(_step(labels, probabilities, seconds))
                for heard in hearing.piece(probabilities):
                    await socket.send_text(json.dumps({"heard": vars(heard)}))
            left = left[len(left) // size * size :]


def _format(text: str) -> str:
    try:
        kind = json.loads(text)["format"]
    except (ValueError, KeyError, TypeError):
        kind = None
    if kind not in ("float32", "int16"):
        raise RequestError(400, 'A text message names the format: {"format": "float32"} or {"format": "int16"}.')
    return kind


def _samples(raw: bytes, kind: str) -> np.ndarray:
    width = 4 if kind == "float32" else 2
    if len(raw) % width or len(raw) > LONGEST_MESSAGE_S * RATE_HZ * width:
        raise RequestError(400, f"A message holds whole {kind} samples, of {LONGEST_MESSAGE_S:g} s at most.")
    if kind == "int16":
        return np.frombuffer(raw, "<i2").astype(np.float32) / 32768.0
    return np.frombuffer(raw, "<f4").astype(np.float32)


def _step(labels: list[str], probabilities: np.ndarray, seconds: float) -> str:
    best = int(probabilities.argmax())
    shares = dict(zip(labels, (round(float(p), 6) for p in probabilities), strict=True))
    return json.dumps(
        {
            "label": labels[best],
            "probability": shares[labels[best]],
            "probabilities": shares,
            "seconds": round(seconds, 3),
        }
    )
