"""The queue as a few lists in memory: what the real one must do."""

from __future__ import annotations

from dataclasses import dataclass

from onecopy.agents.queue import backoff

Place = tuple[str, str]  # agent, subject


@dataclass
class Told:
    """What the model knows of an event."""

    id: str
    place: Place
    sort: str
    attempts: int
    state: str = "queued"
    attempt: int = 0
    due: float = 0.0
    successor: str | None = None


class Model:
    """Events in order of arrival, deliveries, and who is next."""

    def __init__(self) -> None:
        self.events: dict[str, Told] = {}
        self.deliveries: dict[tuple[str, str], str] = {}
        self.bodies: dict[tuple[str, str], str] = {}
        self.line: list[Place] = []  # subjects that have something to run, the next first
        self.agents: list[str] = []  # the one served longest ago first

    def put(self, event: str, place: Place, sort: str, attempts: int, delivery: str, body: str):
        """The answer; `event` is the id if it is new."""
        by_delivery, by_body = (place[0], delivery), (place[0], body)
        known, same = self.deliveries.get(by_delivery), self.bodies.get(by_body)
        if known is None and same is None:
            self.deliveries[by_delivery] = self.bodies[by_body] = event
            self.events[event] = Told(event, place, sort, attempts)
            self._settle(self.events[event])
            return "new", event
        if known is not None and known == same and self.revive(known):
            return "revived", known
        return "duplicate", known or same

    def take(self, now: float, wanted: list[str] | None) -> Told | None:
        for agent in self.agents:
            for place in self.line:
                if place[0] == agent and (wanted is None or agent in wanted):
                    head = self._head(place, now)
                    if head is not None:
                        head.state, head.attempt = "running", head.attempt + 1
                        self.line.remove(place)
                        self.line.append(place)
                        self.agents.remove(agent)
                        self.agents.append(agent)
                        return head
        return None

    def _head(self, place: Place, now: float) -> Told | None:
        here = [each for each in self.events.values() if each.place == place]
        if any(each.state == "running" for each in here):
            return None
        waiting = [each for each in here if each.state == "queued"]
        head = min(waiting, key=lambda each: each.due, default=None)
        if head is None or now < head.due <= now + backoff.LONGEST:
            return None
        return head

    def end(self, event: str, state: str, was: tuple[str, ...]) -> bool:
        told = self.events[event]
        if told.state not in was:
            return False
        told.state = state
        self._settle(told)
        return True

    def retry(self, now: float, event: str, delay: float | None) -> str | None:
        told = self.events[event]
        if told.state != "running":
            return None
        if told.attempt >= told.attempts:
            self.end(event, "dead", ("running",))
        else:
            wait = backoff.delay(event, told.attempt) if delay is None else delay
            self._queue(told, now + wait if wait else 0.0, told.attempt)
        return told.state

    def release(self, event: str) -> str | None:
        told = self.events[event]
        if told.state != "running":
            return None
        self._queue(told, 0.0, told.attempt - 1)
        return told.state

    def revive(self, event: str) -> bool:
        told = self.events[event]
        if told.state != "dead":
            return False
        self._queue(told, 0.0, 0)
        return True

    def restart(self, now: float) -> None:
        self.agents = sorted({agent for agent, _ in self.line})
        for event, told in self.events.items():
            if told.state == "running":
                self.retry(now, event, 0.0)

    def _queue(self, told: Told, due: float, attempt: int) -> None:
        told.state, told.due, told.attempt = "queued", due, attempt
        self._settle(told)

    def _settle(self, told: Told) -> None:
        """After a change of one: keep the newest that waits of its class, mend the line."""
        same = [
            each for each in self.events.values()
            if each.place == told.place and each.sort == told.sort and each.state == "queued"
        ]  # fmt: skip
        for each in same[:-1] if told.sort else []:
            each.state, each.successor = "superseded", same[-1].id
        states = {each.state for each in self.events.values() if each.place == told.place}
        if not states & {"queued", "running"}:
            self.line.remove(told.place)
            return
        if told.place not in self.line:
            self.line.append(told.place)
        if told.place[0] not in self.agents:
            self.agents.append(told.place[0])
