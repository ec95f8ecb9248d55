"""WASI-NN: guests that nobody here wrote run inference on models of the host (docs/nn.md)."""
