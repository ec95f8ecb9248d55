"""A code-review bot for pull requests on GitHub.

`bot` says what happens when; `github` and `llm` are the two integrations; `diff`, `review`,
`markdown`, `comment` and `incremental` are pure.
"""
