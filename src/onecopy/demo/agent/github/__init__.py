"""A server that has the part of GitHub's REST API which a review bot uses, on loopback.

Its pull requests are real diffs of a git repository, its state can be looked at, it signs and sends
webhooks, and it can be told to fail. Shapes are those of docs.github.com/en/rest.
"""
