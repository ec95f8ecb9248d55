"""However servers redirect: each request has a grant, and each secret stays where it belongs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents.calls import Refused
from onecopy.agents.grants.http import redirects
from onecopy.agents.grants.http.answer import Response
from onecopy.agents.grants.http.http import Http
from onecopy.agents.manifest.url import Url
from onecopy.agents.secrets import Secrets

from .servers import connected, serve
from .test_http import EVENT, grant, request

HOSTS = ("api.test", "other.test", "127.0.0.1")
PATHS = ("/a", "/b", "/c")
METHODS = ("GET", "POST", "PUT")
SECRETS = {name: f"secret-of-{name.replace('.', '-')}" for name in HOSTS}
ENVIRONMENT = {f"S{index}": SECRETS[name] for index, name in enumerate(HOSTS)}

places = st.tuples(st.sampled_from(HOSTS), st.sampled_from(PATHS))
Place = tuple[str, str]


@dataclass
class Case:
    """Which grants there are, and where each place redirects to."""

    grants: set[tuple[str, str, str]]
    ways: dict[Place, tuple[int, Place]]
    method: str
    start: Place


cases = st.builds(
    Case,
    st.sets(
        st.tuples(st.sampled_from(METHODS), st.sampled_from(HOSTS), st.sampled_from(PATHS)),
        min_size=6,
    ),
    st.dictionaries(places, st.tuples(st.sampled_from([301, 302, 303, 307, 308]), places)),
    st.sampled_from(METHODS),
    places,
)


@dataclass
class Seen:
    """A request that arrived."""

    method: str
    host: str
    path: str
    secret: str
    body: str


def carry_out(case: Case) -> list[Seen]:
    seen: list[Seen] = []

    async def handler(asked: web.Request) -> web.Response:
        host = asked.host.split(":")[0]
        secret = asked.headers.get("X-Secret", "")
        seen.append(Seen(asked.method, host, asked.path, secret, await asked.text()))
        way = case.ways.get((host, asked.path))
        if way is None:
            return web.Response(text=secret)
        status, (name, path) = way
        location = f"http://{name}:{asked.url.port}{path}"
        return web.Response(status=status, headers={"Location": location})

    async def main() -> None:
        async with serve(handler) as port, connected() as client:
            grants = [
                grant(
                    f"http://{host}:{port}",
                    path,
                    method,
                    headers={"X-Secret": f"env:S{HOSTS.index(host)}"},
                )
                for method, host, path in sorted(case.grants)
            ]
            http = Http(grants, EVENT, client, Secrets(ENVIRONMENT))
            host, path = case.start
            body = None if case.method == "GET" else "body"
            asked = request(f"http://{host}:{port}{path}", case.method, body)
            try:
                told, code = str(await http.call("send", [asked])), ""
            except Refused as error:
                told, code = str(error), error.refusal.code
            assert code in ("", "not-granted", "failed")
            assert not any(secret in told for secret in SECRETS.values())

    asyncio.run(main())
    return seen


@settings(max_examples=40, deadline=None)
@given(cases)
def test_each_request_of_a_chain_is_granted_and_no_secret_strays(case: Case):
    seen = carry_out(case)
    assert len(seen) <= redirects.MOST + 1
    for each in seen:
        assert (each.method, each.host, each.path) in case.grants
        assert each.secret in ("", SECRETS[each.host])
    strayed = False
    for each in seen:
        strayed = strayed or each.host != seen[0].host
        assert bool(each.secret) != strayed
        assert each.body in ("", "body")
        assert each.method == case.method or not each.body
    if seen:
        first = seen[0]
        assert (first.method, (first.host, first.path)) == (case.method, case.start)


@given(st.text(max_size=30) | st.text("/.:@\\?#%&;=\r\n\t a1[]", max_size=20))
def test_no_location_does_anything_but_lead_to_a_url_or_fail(location: str):
    response = Response(302, [("Location", location)], b"")
    start = Url.parse("https://api.test/a/b?c=d")
    try:
        target = redirects.target(response, start)
    except Refused:
        return
    assert target is None or Url.parse(str(target)) == target


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 310, 404])
def test_other_statuses_lead_nowhere(status: int):
    response = Response(status, [("Location", "https://other.test/")], b"")
    assert redirects.target(response, Url.parse("https://api.test/")) is None
