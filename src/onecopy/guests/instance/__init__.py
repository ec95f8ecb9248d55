"""One guest in this process: its windows, its imports, its saved states."""
