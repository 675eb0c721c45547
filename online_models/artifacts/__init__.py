"""Published models: manifest, registry, item index and ONNX sessions; nothing here knows torch."""
