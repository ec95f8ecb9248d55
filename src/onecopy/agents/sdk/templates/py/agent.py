"""NAME: an agent in Python. It reaches only what agent.toml grants."""

from onecopy_agent import kv, log


def handle(event):
    """Answer one event; what comes back is JSON."""
    log.step("count")
    count = kv.conversation.get("count", 0) + 1
    kv.conversation.set("count", count)

    log.step("answer")
    person = event.payload["person"]
    log.info(f"question {count} of {person}")
    return {"answer": f"{event.settings['greeting']}, {person}!", "questions": count}
