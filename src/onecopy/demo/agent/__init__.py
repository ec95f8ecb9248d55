"""`onecopy demo agent`: the code-review bot at work, with a GitHub and an LLM of this machine."""
