"""Guests of WASI-NN: each in a process of its own, with WASI's files and inference."""
