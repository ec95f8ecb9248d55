"""The component's entry: a pull request's event in, what was done out."""

from review_bot.bot import handle

__all__ = ["handle"]
