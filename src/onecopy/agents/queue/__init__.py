"""Events that are kept until they have been dealt with: on disk before a webhook is answered."""
