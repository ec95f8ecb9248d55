"""An ASGI application: a JSON list of numbers in, the model's output for it out."""

from __future__ import annotations

import json
import os
from typing import Any

import torch

import onecopy

STORE, MODEL = "inference-server", "model"


class App:
    """One per worker. The model arrives when the server says that the application starts."""

    def __init__(self) -> None:
        self.model: Any = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one connection, or the beginning and the end of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await _reply(send, *self._answer(await _read(receive)))

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        with onecopy.connect(STORE, timeout=30) as store:
            self.model = store.load_module(MODEL, timeout=30)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _answer(self, body: bytes) -> tuple[int, Any]:
        try:
            row = torch.tensor(json.loads(body), dtype=torch.float32)
            with torch.inference_mode():
                output = self.model(row)
        except (ValueError, TypeError, RuntimeError) as error:  # not JSON, no numbers, wrong size
            return 400, {"error": str(error)}
        return 200, {"output": output.tolist(), "worker": os.getpid()}


async def _read(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _reply(send: Any, status: int, content: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


app = App()
