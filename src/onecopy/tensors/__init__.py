"""Tensors: from Python values to the blocks of a segment, and back as views of its bytes.

`values.Packed` and `values.unpack` are the two ends. Between them: `tree` walks nested
containers, a `codec` turns each leaf into memory plus a few plain numbers, `extents` merges
memory that leaves share into `blocks`, `headers` names them for plain readers, and `spec` is
what our own readers need to rebuild the value.
"""
