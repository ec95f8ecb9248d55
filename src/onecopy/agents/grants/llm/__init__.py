"""Chat completions within budgets: of an endpoint, or of a text model of the store."""
