"""The demo of guided decoding: a small model under controllers (being built)."""
