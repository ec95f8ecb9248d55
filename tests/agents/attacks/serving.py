"""A server of the bot in a process of its own: python -m tests.agents.attacks.serving BOT STATE."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from onecopy.agents.secrets import Secrets
from onecopy.agents.server.server import Server
from tests.agents.attacks.bench import ANY, SECRETS


async def main() -> None:
    place, state = map(Path, sys.argv[1:])
    server = Server([place], listen=ANY, status=ANY, state=state, secrets=Secrets(SECRETS))
    await server.run(lambda: print(server.public_url, flush=True))


if __name__ == "__main__":
    asyncio.run(main())
