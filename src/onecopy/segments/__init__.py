"""Segments: one file descriptor is one region of memory.

Nothing here knows of names, stores or tensors. `region` makes and seals memfds,
`mapping` maps them, `lease` asks the kernel who still uses one, and `container`
lays out the bytes: a safetensors file (I5).
"""
