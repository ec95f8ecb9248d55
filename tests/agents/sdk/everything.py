"""An agent that calls everything there is, for the test of the bindings."""

import json
import random

from onecopy_agent import (
    NotGranted,
    Retry,
    entries,
    http,
    kv,
    llm,
    log,
    memory,
    plan,
    tool,
    tools,
)


@tool
def twice(number: int) -> int:
    """The double of a number."""
    return 2 * number


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


ASKED = {
    "parse": lambda depth: len(json.loads("[" * depth + "]" * depth)),
    "write": lambda depth: len(json.dumps(nested(depth))),
    "answer": nested,
    "compare": lambda depth: nested(depth) == nested(depth),
    "size": lambda: 1,
}


def handle(event):
    if event.kind == "asked":
        what, *given = event.payload["whole"]
        return ASKED[what](*given)
    if event.kind == "later":
        raise Retry(7, "not now")
    if event.kind == "broken":
        return 1 / 0
    log.step("all")
    log.warning("ä")
    kv.agent.set("a", [1])
    kv.conversation.set("b", None)
    kv.conversation.delete("b")
    id = memory.add("notes", "a red bird", {"page": 3})
    hit = memory.search("notes", "red", 1)[0]
    memory.forget("notes", id)
    response = http.post("https://x.test/y", query={"q": "a b"}, json={"k": "ü"})
    try:
        refusal = http.get("https://other.test/")
    except NotGranted as error:
        refusal = str(error)
    return {
        "kv": [kv.agent.get("a"), kv.conversation.get("b", "none"), kv.agent.keys("a")],
        "hit": [hit.text, hit.metadata, hit.score > 0],
        "http": [response.status, response.header("x-a"), response.json()],
        "refusal": refusal,
        "entries": [entries.names("docs/"), entries.describe("docs/a"), entries.read("docs/a")],
        "tools": [[each.name for each in tools.granted()], tools.call("shout", text="hi")],
        "llm": llm.chat("hello").text,
        "plan": plan.act("double 4", [twice]).text,
        "random": random.random(),
    }
