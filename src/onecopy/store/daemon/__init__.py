"""The daemon: a directory of file descriptors (I3).

It never maps, reads or writes tensor bytes, and imports neither torch nor numpy. One thread,
one epoll loop, no call that a client can make block.

    process    start-up: configuration, lock, socket, signals, exit
    listening  takes connections
    handshake  who is let in, and what it is told
    server     carries out what clients ask: one `match`
    peer       one connection: its datagrams, its outbox, what it waits for
    catalog    names to entries, and the index that clients read
    saves      what a save says: checked, and as the index has it
    books      capacity: what counts, what is evicted, who still uses what was removed
    expiry     ttl
    agenda     entries in the order of a time
    locks      FIFO locks
    waits      who waits for which names, who watches
    loop       epoll and timers
"""
