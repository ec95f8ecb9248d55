"""The code-review bot: an agent in Python that `onecopy agent init code-review` writes out."""
