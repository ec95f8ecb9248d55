"""A text model of the store that answers chat completions, through `onecopy.nn`."""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from onecopy.agents.calls import FAILED, INVALID, NOT_FOUND, TOO_LARGE, UNAVAILABLE, Refused
from onecopy.agents.grants.llm.answer import Counted
from onecopy.agents.grants.llm.conversation import turns_of
from onecopy.agents.grants.llm.guided import offered, read, schema_of
from onecopy.agents.grants.llm.template import ChatTemplate
from onecopy.errors import (
    ContextFull,
    EndOfSequence,
    InvalidArgument,
    ModelNotFound,
    OnecopyError,
    PromptTooLong,
)

if TYPE_CHECKING:
    from onecopy.agents.grants.llm.answer import Answer
    from onecopy.agents.grants.llm.request import Request
    from onecopy.nn import Context, Graph
    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot

_log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""How many answers are generated at a time; others wait."""
_MODEL: Final = "model"
_OPTIONS: Final = {
    "temperature": "temp",
    "top_p": "top-p",
    "presence_penalty": "presence-penalty",
    "frequency_penalty": "frequency-penalty",
}


class LocalModel:
    """A text model of a store (a `ChatModel`); its process starts with the first request.

        local = LocalModel(store, "qwen")
        local.close()

    Args:
        store: where the model is, with its tokenizer beside it (`nn.save_tokenizer`).
        entry: its name.
        threads: how many compute.
        idle_seconds: how long its process stays when nobody has used it.
    """

    def __init__(
        self, store: Store | Snapshot, entry: str, *, threads: int = 1, idle_seconds: float = 60.0
    ) -> None:
        from onecopy.nn import Host, Model

        self._store = store
        self._entry = entry
        model = Model(what=entry, backend="text", options={"threads": threads})
        self._host = Host({_MODEL: model}, store=store, idle_seconds=idle_seconds)
        self._graph: Graph | None = None
        self._template: ChatTemplate | None = None
        self._lock = threading.Lock()
        # Threads of its own: who waits for a model keeps nobody else waiting.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="onecopy-llm")

    async def complete(self, request: Request, most: int, answer: Answer) -> None:
        """Have a request answered, as `ChatModel.complete` says.

        Calls of tools and answers with a schema always parse; one for which `most` tokens do not
        do is refused.
        """
        stop = threading.Event()
        task = asyncio.get_running_loop().run_in_executor(
            self._threads, self._complete, request, most, answer, stop
        )
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()  # It ends with its next token; nobody waits for it.
            task.add_done_callback(_forget)
            raise

    def _complete(self, request: Request, most: int, answer: Answer, stop: threading.Event) -> None:
        try:
            generation = Generation(request, most, answer, stop)
            prompt = self._loaded_template().render(
                turns_of(request, offers_tools=bool(offered(request)))
            )
            with self._loaded().context() as context:
                generation.run(context, prompt)
        except OnecopyError as error:
            raise _refused(error, self._entry) from error

    def _loaded(self) -> Graph:
        with self._lock:
            if self._graph is None:
                self._graph = self._host.load(_MODEL)
            return self._graph

    def _loaded_template(self) -> ChatTemplate:
        from onecopy.nn.backends.text.tokenizer import SUFFIX

        if self._template is None:
            self._template = ChatTemplate.of(self._store.load(self._entry + SUFFIX))
        return self._template

    def close(self) -> None:
        """Let the model go; twice is fine."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._host.close()


class Generation:
    """One answer, as it is generated.

    Args:
        request: what is asked.
        most: tokens that the answer may have.
        answer: gets the text.
        stop: set when nobody waits any more.
    """

    def __init__(self, request: Request, most: int, answer: Answer, stop: threading.Event) -> None:
        self._answer = answer
        self._most = most
        self._stop = stop
        self._stops = request.stops
        self._has_tools = bool(offered(request))
        self._schema = schema_of(request)
        self._options = _options(request, most, self._schema)

    def run(self, context: Context, prompt: str) -> None:
        """Generate all of it.

        Raises:
            Refused: it was cut off where it has to be JSON.
            OnecopyError: the model does not do it.
        """
        for index, text in enumerate((prompt, json.dumps(self._options))):
            data = text.encode()
            context.set_input(index, "u8", (len(data),), data)
        text, finish = self._text(context)
        if self._schema is not None and finish == "length":
            raise Refused(
                TOO_LARGE,
                f"{self._most} tokens did not do for the whole answer; raise max_tokens, or make "
                "the schema's answers shorter",
            )
        self._finish(text, finish)

    def _text(self, context: Context) -> tuple[str, str]:
        text, finish = "", "stop"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            for piece in self._pieces(context):
                added = decoder.decode(piece)
                text += added
                found = [at for each in self._stops if (at := text.find(each)) >= 0]
                if found:
                    return text[: min(found)], "stop"
        except ContextFull:
            finish = "length"
        finally:
            self._count(context)
        counted = self._answer.counted
        if counted is not None and counted.completion_tokens >= self._most:
            finish = "length"
        return text + decoder.decode(b"", final=True), finish

    def _pieces(self, context: Context) -> Iterator[bytes]:
        while not self._stop.is_set():
            try:
                context.compute_single()
            except EndOfSequence:
                return
            self._answer.accepted = True
            self._count(context)  # Whoever ends this meanwhile counts what came.
            yield bytes(context.output_single(0))

    def _count(self, context: Context) -> None:
        if context.output_count > 1:
            told = json.loads(bytes(context.output(1)))
            self._answer.counted = Counted(told["input_tokens"], told["output_tokens"])

    def _finish(self, text: str, finish: str) -> None:
        answer = self._answer
        content, call = read(text) if self._has_tools else (text, None)
        answer.add_text("content", content)
        if call is not None:
            answer.add_call(0, *call)
            finish = "tool_calls"
        answer.finish_reason = finish


def _options(request: Request, most: int, schema: dict[str, Any] | None) -> dict[str, Any]:
    given = {name: getattr(request, field) for field, name in _OPTIONS.items()}
    # Of the API the default is 1, and all tokens count.
    found: dict[str, Any] = {"n-predict": most, "temp": 1.0, "top-k": 0, "min-p": 0.0}
    found |= {"top-p": 1.0, **{name: value for name, value in given.items() if value is not None}}
    if request.seed is not None:
        found["seed"] = request.seed % (1 << 31)
    if schema is not None:
        found["json-schema"] = schema
    return found


def _refused(error: OnecopyError, entry: str) -> Refused:
    match error:
        case ModelNotFound() | KeyError():
            text = f"{error}: save it with its tokenizer (nn.save_tokenizer), or name another"
            return Refused(NOT_FOUND, f"the model {entry!r}: {text} in [grants.llm]")
        case PromptTooLong():
            return Refused(TOO_LARGE, f"{error}; shorten the messages")
        case InvalidArgument():
            return Refused(INVALID, f"the model {entry!r} does not take that: {error}")
        case ConnectionError():
            return Refused(UNAVAILABLE, f"the model {entry!r} has ended: {error}")
        case _:
            return Refused(FAILED, f"the model {entry!r} fails: {error}")


def _forget(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.debug("a model that nobody waited for any more has failed", exc_info=task.exception())
