"""A process that serves one agent, for benchmarks: prints where, and what it has ended when told.

python -m benchmarks.agent_serving FOLDER STATE
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from pathlib import Path

from onecopy.agents.secrets import Secrets
from onecopy.agents.server.server import Server
from onecopy.agents.server.site import Address

SECRET = "secret of the benchmark"
ANY = Address("127.0.0.1", 0)


def main(folder: Path, state: Path) -> None:
    """Serve until the standard input ends."""
    server = Server(
        [folder],
        listen=ANY,
        status=ANY,
        processes=2,
        state=state,
        secrets=Secrets({"HOOK_SECRET": SECRET}),
    )
    asyncio.run(_serve(server))


async def _serve(server: Server) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(server.run(lambda: _ready(server)))

    def listen() -> None:
        for _ in sys.stdin:
            counts = asyncio.run_coroutine_threadsafe(server.service.queue.counts(), loop).result()
            print(counts["done"], flush=True)
        loop.call_soon_threadsafe(task.cancel)

    threading.Thread(target=listen, daemon=True).start()
    await asyncio.gather(task, return_exceptions=True)


def _ready(server: Server) -> None:
    gc.freeze()  # as `onecopy agent serve` does
    print(server.public_url, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
