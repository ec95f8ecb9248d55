"""The process that holds one model for a whole host, and the way to it."""
