"""Texts that agents find again by their meaning (docs/agents-capabilities.md)."""
