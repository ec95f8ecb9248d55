"""Modules and memory: compiled, checked, called."""
