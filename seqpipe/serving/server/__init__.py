"""TensorFlow Serving's interfaces over models at hand: REST, gRPC, a WebSocket for streams, and a page to try them."""
