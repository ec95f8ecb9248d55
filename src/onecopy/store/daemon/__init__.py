"""The daemon: a directory of file descriptors (I3).

It never maps, reads or writes tensor bytes, and imports neither torch nor numpy. One thread,
one epoll loop, no call that a client can make block.

    process    start-up: configuration, lock, socket, signals, exit
    server     accepts connections and carries out what they ask: one `match`
    peer       one connection: its datagrams, its outbox, what it waits for
    catalog    names to entries, and the index that clients read
    books      capacity: what counts, what is evicted, who still uses what was removed
    expiry     ttl
    agenda     entries in the order of a time
    locks      FIFO locks
    waits      who waits for which names, who watches
    loop       epoll and timers
"""
