"""The store: names to entries.

Shared by both sides: `names`, `messages`, `wire`, `runtime` and the folder `index`. The client is
`client` (the `Store` that users hold) over `session`, `loader` and `channel`; the daemon is
the folder `daemon`. docs/protocol.md specifies what goes between them.
"""
