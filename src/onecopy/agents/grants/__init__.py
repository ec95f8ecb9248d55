"""Capabilities: what a manifest may grant, each answering the calls of one interface of the WIT."""
