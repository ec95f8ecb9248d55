"""The libraries that run models, each behind the same small interface, and imported late."""
