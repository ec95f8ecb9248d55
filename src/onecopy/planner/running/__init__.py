"""Planned runs: a module's allocations recorded once at the bound, then replayed into an arena."""
