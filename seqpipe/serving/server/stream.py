"""Microphones by WebSocket: pieces of sound in, what is heard out; pieces of several clients are answered together.

A client sends binary messages of samples, 16 kHz, one channel: float32 in -1..1, or int16 after the text message
{"format": "int16"}. For each piece of 40 ms it gets {"probabilities": {...}, "label", "probability", "seconds"}, and
{"heard": {...}} for a command. After the text {"end": true} it gets what lasted to the end, and the socket is closed.

A browser can give a WebSocket no header. It offers the subprotocol PROTOCOL, which is taken, and TOKEN_PROTOCOL with
the token in base64url, without padding.
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from seqpipe.serving.listening import PIECE_MS, QUIET_S, Detector, Heard, Hearing
from seqpipe.serving.server.errors import RequestError
from seqpipe.sound.recordings import RATE_HZ

if TYPE_CHECKING:
    from seqpipe.serving.server.rest import Server
    from seqpipe.serving.server.servable import Servable

MOST_CLIENTS = 64
LONGEST_MESSAGE_S = 10.0
TRY_LATER, REFUSED, GOING_AWAY = 1013, 1008, 1001  # close codes
LOOK_S = 0.5  # without a message, after which a stream looks whether the server stops
PROTOCOL, TOKEN_PROTOCOL = "seqpipe", "seqpipe.token."


class Streams:
    def __init__(self, server: Server):
        self.server = server
        self.clients = 0
        server.metrics.streams.set_function(lambda: self.clients)

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
        try:
            self.server.allow(socket)
            with self.server.models.in_use(socket.path_params["name"]) as servable:
                if "stream" not in servable.signatures or "waveform" not in servable.signatures["stream"].inputs:
                    raise RequestError(
                        400, f"{servable.name} hears no sound: it has no signature stream with an input waveform."
                    )
                await self._admit(socket, servable)
        except WebSocketDisconnect:
            return
        except RequestError as error:
            with suppress(WebSocketDisconnect):
                await socket.send_text(json.dumps({"error": error.text}))
                await socket.close(REFUSED)

    async def _admit(self, socket: WebSocket, servable: Servable) -> None:
        if self.clients >= MOST_CLIENTS or self.server.draining:
            await socket.close(TRY_LATER)
            return
        self.clients, self.server.busy = self.clients + 1, self.server.busy + 1
        try:
            await self._listen(socket, servable)
        finally:
            self.clients, self.server.busy = self.clients - 1, self.server.busy - 1

    async def _listen(self, socket: WebSocket, servable: Servable) -> None:
        """Hear until the client ends, or the server is told to stop."""
        ear, kind = Ear(self.server, servable, socket), "float32"
        while not self.server.draining:
            try:
                async with asyncio.timeout(LOOK_S):
                    message = await socket.receive()
            except TimeoutError:
                continue
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is None:
                await ear.hear(_samples(message.get("bytes") or b"", kind))
                continue
            asked = _asked(message["text"])
            if "end" in asked:
                await ear.end()
                await socket.close()
                return
            kind = asked["format"]
        await ear.end()
        await socket.close(GOING_AWAY)


class Ear:
    """What one client's stream has heard: the state of the model and of the detector."""

    def __init__(self, server: Server, servable: Servable, socket: WebSocket):
        self.server, self.servable, self.socket = server, servable, socket
        specs = servable.signature("stream").inputs
        self.state = {
            name: np.zeros((1, *(spec.shape or (1,))[1:]), spec.numpy)
            for name, spec in specs.items()
            if name != "waveform"
        }
        self.labels, self.hearing = servable.labels, Hearing(Detector(), servable.labels)
        self.left, self.pieces, self.samples, self.end_s = np.zeros(0, np.float32), 0, 0, math.inf

    async def hear(self, samples: np.ndarray) -> None:
        """Samples float32 [S], and what was left of those before; what is no whole piece is left again."""
        self.samples += len(samples)
        self.left = np.concatenate([self.left, samples])
        size = RATE_HZ * PIECE_MS // 1000
        for start in range(0, len(self.left) - size + 1, size):
            await self._piece(self.left[start : start + size])
        self.left = self.left[len(self.left) // size * size :]

    async def end(self) -> None:
        """As `seqpipe listen` ends: some quiet, so that the last word is over."""
        self.end_s = self.samples / RATE_HZ
        await self.hear(np.zeros(round(QUIET_S * RATE_HZ), np.float32))
        if len(self.left):
            await self._piece(self.left)
        await self._tell(self.hearing.end())

    async def _piece(self, piece: np.ndarray) -> None:
        settings = self.server.settings
        inputs = {"waveform": piece[None], **self.state}
        outputs = await self.server.batcher.answer(self.servable, "stream", inputs, timeout_s=settings.timeout_s)
        self.state = {name: outputs[name] for name in self.state}
        self.pieces += 1
        probabilities = outputs["probabilities"][0]
        await self.socket.send_text(_step(self.labels, probabilities, self.pieces * PIECE_MS / 1000))
        await self._tell(self.hearing.piece(probabilities))

    async def _tell(self, words: list[Heard]) -> None:
        for word in words:
            word = replace(word, start_s=min(word.start_s, self.end_s), end_s=min(word.end_s, self.end_s))
            await self.socket.send_text(json.dumps({"heard": vars(word)}))


def _asked(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or not (asked == {"end": True} or asked.get("format") in ("float32", "int16")):
        raise RequestError(
            400, 'A text message names the format, {"format": "float32"} or {"format": "int16"}, or is {"end": true}.'
        )
    return asked


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
