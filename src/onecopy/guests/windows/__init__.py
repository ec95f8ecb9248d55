"""Tensors in a guest's memory: what may be shown, where, and how it is mapped."""
