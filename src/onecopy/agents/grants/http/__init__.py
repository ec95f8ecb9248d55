"""Requests of guests, and the client that makes them without reaching what it must not."""
