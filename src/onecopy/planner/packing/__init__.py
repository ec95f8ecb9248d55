"""Packing: buffers with known lifetimes get addresses in one arena, in as few bytes as possible.

`buffer` and `problem` say what is to be packed, `solution` where it goes and how good that is,
`validate` checks it independently. `solve` finds it: `greedy` first, then an exact search.
"""
