"""One file, one question. Each has ``ask(stage)``, which returns an ``Answer``."""
