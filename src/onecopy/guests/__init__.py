"""WebAssembly guests that share tensors with the host (docs/design/guests.md)."""
