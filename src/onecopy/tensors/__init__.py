"""Tensors: from Python values to the blocks of a segment, and back as views of its bytes.

`values.pack` and `values.unpack` are the two ends. Between them: `tree` walks nested
containers, a `codec` turns each leaf into memory plus a few plain numbers, `extents` merges
memory that leaves share, and `spec` is what a reader needs to rebuild the value.
"""
