"""The server: webhooks in, runs of agents, and pages that show them."""
