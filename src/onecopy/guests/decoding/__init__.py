"""One controller in this process: vocabulary, grammars, the life cycle."""
