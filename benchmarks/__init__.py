"""How fast, how small, and beside whom: every number of the README comes from here."""
