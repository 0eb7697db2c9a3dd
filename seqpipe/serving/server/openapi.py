"""The REST interface of the models at hand as an OpenAPI document, made from their signatures."""

from __future__ import annotations

from seqpipe.serving.server.servable import Signature
from seqpipe.serving.server.tensors import Spec
from seqpipe.serving.server.versions import Models

TYPES = {"O": {"type": "string"}, "b": {"type": "boolean"}, "f": {"type": "number"}}


def document(models: Models) -> dict[str, object]:
    paths: dict[str, object] = {}
    for hosted in models.hosted.values():
        if hosted.serving is None:
            continue
        asked = [_request(name, signature) for name, signature in hosted.serving.signatures.items() if signature.inputs]
        paths[f"/v1/models/{hosted.name}:predict"] = {
            "post": {
                "summary": f"Ask {hosted.name}, version {hosted.serving.version}",
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"oneOf": asked}}}},
                "responses": {
                    "200": {"description": "`outputs` by name, as the request has `inputs`; else `predictions`"},
                    "400": {"description": "`error`: what is wrong with the request"},
                    "413": {"description": "The request is larger than the server takes"},
                    "429": {"description": "The queue is full; Retry-After says when to try again"},
                },
            }
        }
    return {"openapi": "3.1.0", "info": {"title": "seqpipe serve", "version": "1"}, "paths": paths}


def _request(name: str, signature: Signature) -> dict[str, object]:
    inputs = {key: _schema(spec) for key, spec in signature.inputs.items()}
    return {
        "title": name,
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "signature_name": {"const": name},
            "inputs": {"type": "object", "required": list(inputs), "properties": inputs},
        },
    }


def _schema(spec: Spec) -> dict[str, object]:
    schema: dict[str, object] = dict(TYPES.get(spec.numpy.kind, {"type": "integer"}))
    for size in reversed(spec.shape or ()):
        schema = {"type": "array", "items": schema, **({"minItems": size, "maxItems": size} if size >= 0 else {})}
    return schema
