"""A host in the same process, so that agents are tested as plain Python, outside of WebAssembly.

    from onecopy_agent.testing import Host

    def test_it_thanks_the_author():
        with Host() as host:
            host.llm.reply("Thank you!")
            host.http.reply("POST", "https://api.example.com/comments", json={"id": 1})
            assert host.run(agent.handle, {"kind": "opened"}) == {"comment": 1}
        assert host.http.sent[0].json() == {"body": "Thank you!"}

What it stores it really stores; what comes from elsewhere (HTTP, the model) is what the test gives.
Nothing is granted that was not given: everything else raises `NotGranted`, as in a real run.
"""

from onecopy_agent.testing.host import Host
from onecopy_agent.testing.http import Sent
from onecopy_agent.testing.llm import completion, tool_call

__all__ = ["Host", "Sent", "completion", "tool_call"]
