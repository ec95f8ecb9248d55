"""Controllers of a batch: the engine's side, the workers' side, and what they share."""
