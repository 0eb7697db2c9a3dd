"""A model that tests of the server share, and servers of it."""

from __future__ import annotations

import asyncio

import pytest
from lengths_model import publish

from seqpipe.serving.server.batching import Batcher
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.rest import Server, Settings
from seqpipe.serving.server.versions import Models


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The directory of a model in one version."""
    directory = tmp_path_factory.mktemp("models") / "lengths"
    directory.mkdir()
    publish(directory, 1)
    return directory


@pytest.fixture(scope="session")
def made():
    """Makes a server of the model in a directory."""

    def make(place, **settings):
        metrics = Metrics()
        models = Models({"lengths": place}, metrics)
        models.look()
        return Server(models, Batcher(most_rows=64, metrics=metrics), metrics, Settings(**settings))

    return make


@pytest.fixture(scope="session")
def queued():
    """Waits until so many requests are in flight, of which so many rows wait for the worker."""

    async def wait(server, *, requests, rows):
        servable = server.models.get("lengths")
        while (servable.in_flight, server.batcher._rows) != (requests, rows):
            await asyncio.sleep(0.001)

    return wait
