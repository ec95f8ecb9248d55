"""Text models behind OpenAI-compatible endpoints."""
