"""The index: a segment the daemon writes and every client maps, so that loads ask nobody (I6).

    layout    where in the segment everything is, and how names are hashed
    slot      one entry: its record, and what a load needs of it
    writer    the daemon's side
    reader    a client's side
    pulse     the word that says whether the daemon lives

docs/format.md has the layouts field by field.
"""
