"""Run records: what an agent was called with, asked for and got, while it runs and afterwards."""
