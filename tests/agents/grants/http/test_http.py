"""A guest's requests: what a grant says, and no byte more."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from onecopy.agents.calls import Refused
from onecopy.agents.event import Event
from onecopy.agents.grants.http.http import Http
from onecopy.agents.manifest.http_grant import HttpGrant
from onecopy.agents.manifest.origin import Origin
from onecopy.agents.manifest.path_template import PathTemplate
from onecopy.agents.secrets import HeaderValue, Secrets

from .servers import Authority, Names, connected, serve

TOKEN = "ghp_abcdefghijklmnop"
EVENT = Event(
    id="1",
    agent="bot",
    trigger="webhook",
    kind="pull_request.opened",
    subject="octo/hello#7",
    fields={"repo": "octo/hello", "number": "7"},
)
ENVIRONMENT = {"TOKEN": TOKEN, "OTHER": "another-secret"}


def grant(origin: str, path: str = "/{rest...}", method: str = "GET", **more: Any) -> HttpGrant:
    headers = {name: HeaderValue(value) for name, value in more.pop("headers", {}).items()}
    return HttpGrant(
        origin=Origin(origin),
        method=method,
        path=PathTemplate(path),
        headers=headers,
        **{"private": True, "timeout": 20.0, **more},
    )


def request(url: str, method: str = "GET", body: str | None = None, **headers: str) -> dict:
    pairs = [[name.replace("_", "-"), value] for name, value in headers.items()]
    return {"method": method, "url": url, "headers": pairs, "body": body}


@asynccontextmanager
async def guest(grants: Sequence[HttpGrant], tls: Any = None, names: Names | None = None):
    """What a guest calls, with these grants."""
    async with connected(names, tls) as client:
        http = Http(grants, EVENT, client, Secrets(ENVIRONMENT))
        yield lambda asked: http.call("send", [asked])


def refusal(grants: Sequence[HttpGrant], asked: Any, code: str = "not-granted") -> str:
    """Make a request that must not reach anybody, and return why it was refused."""

    async def main() -> str:
        async with guest(grants) as send:
            with pytest.raises(Refused) as caught:
                await send(asked)
            assert caught.value.refusal.code == code, caught.value.refusal.message
            return caught.value.refusal.message

    return asyncio.run(main())


async def echo(asked: web.Request) -> web.Response:
    """Answer with the request, as a careless server does."""
    lines = [f"{asked.method} {asked.raw_path}"]
    lines += [f"{name.lower()}: {value}" for name, value in asked.headers.items()]
    return web.Response(text="\n".join([*lines, "", await asked.text()]))


def answer(
    handler: Any, asked: Any, *, path: str = "/{rest...}", tls: Authority | None = None, **more: Any
) -> dict[str, Any]:
    """Make one request to a server of one grant; `{at}` in its URL is the origin."""

    async def main() -> dict[str, Any]:
        async with serve(handler, tls=tls and tls.server()) as port:
            origin = f"http{'s' if tls else ''}://api.test:{port}"
            asked["url"] = asked["url"].replace("{at}", origin)
            grants = [grant(origin, path, asked["method"], **more)]
            async with guest(grants, tls and tls.client()) as send:
                return await send(asked)

    return asyncio.run(main())


class TestGrants:
    """Origin, method, path and query are those of a grant, or nothing is sent."""

    GRANTS = (
        grant("https://api.test", "/repos/{event.repo}/issues/{event.number}/comments", "POST"),
        grant("https://api.test", "/repos/{event.repo}/pulls", "GET", query=("page",)),
    )

    @pytest.mark.parametrize(
        ("method", "url", "line"),
        [
            (
                "GET",
                "https://api.test/repos/octo/hello/issues/7",
                'path = "/repos/{event.repo}/issues/{event.number}"',
            ),
            ("POST", "https://api.test/repos/octo/other/issues/7/comments", '"/repos/octo/other/'),
            ("POST", "https://api.test/repos/octo/hello/issues/8/comments", "/issues/8/comments"),
            ("POST", "https://api.test/graphql", 'path = "/graphql"'),
            ("DELETE", "https://api.test/repos/octo/hello/pulls", 'method = "DELETE"'),
            ("GET", "https://api.test/repos/octo/hello/pulls/", 'path = "/repos/{event.repo}/p'),
            ("GET", "https://evil.test/repos/octo/hello/pulls", 'origin = "https://evil.test"'),
            ("GET", "https://api.test:444/repos/octo/hello/pulls", '"https://api.test:444"'),
            ("GET", "http://api.test/repos/octo/hello/pulls", "private = true"),
            ("GET", "https://api.test/repos/octo/hello/pulls?a=1", 'query = ["page", "a"]'),
            ("GET", "https://api.test/user?a=1", 'path = "/user", query = ["a"]'),
            ("POST", "https://api.test/repos/octo%2Fhello/pulls", "encoded /"),
        ],
    )
    def test_a_refusal_has_the_line_that_would_grant_it(self, method: str, url: str, line: str):
        code = "invalid" if "%2F" in url else "not-granted"
        text = refusal(self.GRANTS, request(url, method), code)
        assert line in text
        if code == "not-granted":
            assert "agent.toml: [[grants.http]] origin = " in text

    @pytest.mark.parametrize(
        "method", ["get", "GET ", "CONNECT", "TRACE", "", "GET\r\nX: y", "FOO"]
    )
    def test_there_are_few_methods(self, method: str):
        assert "PATCH" in refusal(self.GRANTS, request("https://api.test/", method))

    @given(st.text(max_size=8), st.text(max_size=40), st.text(max_size=8), st.text(max_size=8))
    @example("GET", "https://api.test/x", "Accept", "\ud800")
    @example("\ud800", "https://api.test/x", "Accept", "x")
    @example("GET", "https://\ud800/", "Accept", "x")
    @example("GET", "https://api.test/\ud800", "Accept", "x")
    def test_no_request_does_anything_but_be_refused_in_words(
        self, method: str, url: str, name: str, value: str
    ):
        """The text of a refusal can be sent on, whatever was asked."""

        class Unused:
            async def request(self, *_: object, **__: object) -> None:
                raise AssertionError

        for each in (url, f"https://api.test/{url}"):
            http = Http(self.GRANTS, EVENT, Unused())
            asked = request(each, method, value, **{name: value})
            with pytest.raises(Refused) as caught:
                asyncio.run(http.call("send", [asked]))
            assert json.loads(msgspec.json.encode(caught.value.refusal))["message"]

    def test_a_parameter_that_is_there_twice_is_refused(self):
        url = "https://api.test/repos/octo/hello/pulls?page=1&page=2"
        assert "twice" in refusal(self.GRANTS, request(url))

    @pytest.mark.parametrize(
        "path",
        [
            *("/x/../y", "/x/%2e%2e/y", "/x//y", "/x/%2F", "/x\\y", "/a b", "/x#y", "/%"),
            *("/%252e%252e", "/x/%00", "/x/%0d%0aX", "/..;/y", "/..%3b/y", "/x\ny"),
            *("/\uff0e\uff0e/y", "/%EF%BC%8E%EF%BC%8E/y", "/x%EF%BC%8Fy", "/%E2%80%AEx", "/%ff"),
        ],
    )
    def test_what_servers_could_read_differently_is_no_url(self, path: str):
        refusal([grant("https://api.test")], request(f"https://api.test{path}"), "invalid")

    @pytest.mark.parametrize(
        "asked", [None, 1, {}, [], {"method": "GET"}, {"method": 1, "url": ""}]
    )
    def test_what_is_no_request_is_refused(self, asked: Any):
        refusal([], asked, "invalid")

    def test_an_event_without_a_field_has_no_grant_that_is_bound_to_it(self):
        grants = [grant("https://api.test", "/{event.absent}")]
        refusal(grants, request("https://api.test/x"))
        refusal(grants, request("https://api.test/{event.absent}"), "invalid")

    def test_http_has_one_function(self):
        async def main() -> None:
            async with connected() as client:
                with pytest.raises(Refused, match="there is send"):
                    await Http([], EVENT, client).call("fetch", [])

        asyncio.run(main())


class TestHeaders:
    """Guests send few headers, hosts add secrets, and no guest sees these."""

    def test_the_usual_headers_arrive(self):
        asked = request("{at}/x", "POST", "body", Content_Type="text/plain", Accept="a/b")
        text = answer(echo, asked)["body"]
        assert "content-type: text/plain" in text
        assert "accept: a/b" in text
        assert text.endswith("\n\nbody")

    @pytest.mark.parametrize(
        "name",
        [
            *("Authorization", "AUTHORIZATION", "Cookie", "Host", "Connection", "TE", "Upgrade"),
            *("Transfer-Encoding", "Content-Length", "Proxy-Authorization", "Expect"),
            *("X-Forwarded-For", "Accept-Encoding", "X-HTTP-Method-Override", "x-original-url"),
        ],
    )
    def test_some_are_never_the_guests(self, name: str):
        text = refusal([grant("https://api.test")], request("https://api.test/x", **{name: "x"}))
        assert "a guest does not send" in text

    def test_a_part_is_asked_for_as_it_is(self):
        assert "accept-encoding: gzip, deflate" in answer(echo, request("{at}/x"))["body"]
        asked = request("{at}/x", Range="bytes=0-9")
        assert "accept-encoding: identity" in answer(echo, asked)["body"]

    def test_others_need_a_line(self):
        text = refusal([grant("https://api.test")], request("https://api.test/x", X_Own="1"))
        assert 'guest_headers = ["X-Own"]' in text
        asked = request("{at}/x", X_Own="1")
        assert "x-own: 1" in answer(echo, asked, guest_headers=("x-own",))["body"]

    @pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "é", "\0"])
    def test_a_value_is_one_line(self, value: str):
        asked = request("https://api.test/x", Accept=value)
        refusal([grant("https://api.test")], asked, "invalid")

    def test_a_secret_arrives_and_an_echo_of_it_does_not_come_back(self, authority: Authority):
        seen: list[str] = []

        async def handler(asked: web.Request) -> web.Response:
            seen.append(asked.headers["Authorization"])
            encoded = base64.b64encode(asked.headers["Authorization"].encode()).decode()
            body = f"{asked.headers['Authorization']} {encoded}"
            return web.Response(text=body, headers={"X-Echo": body})

        headers = {"Authorization": "Bearer env:TOKEN"}
        found = answer(handler, request("{at}/x"), tls=authority, headers=headers)
        assert seen == [f"Bearer {TOKEN}"]
        assert "[secret]" in found["body"]
        for form in (TOKEN, base64.b64encode(TOKEN.encode()).decode()[4:-4]):
            assert form not in str(found)

    def test_the_hosts_header_is_over_the_guests(self):
        text = answer(echo, request("{at}/x", Accept="theirs"), headers={"accept": "ours"})["body"]
        assert "accept: ours" in text
        assert "theirs" not in text

    def test_a_secret_that_cannot_be_read_is_said_by_name(self):
        grants = [grant("https://api.test", headers={"X-Key": "env:ABSENT"})]
        assert "ABSENT" in refusal(grants, request("https://api.test/x"), "unavailable")

    def test_cookies_and_headers_of_the_message_are_not_shown(self):
        async def handler(asked: web.Request) -> web.Response:
            response = web.Response(text="x", headers={"X-Rate": "1", "Connection": "close"})
            response.set_cookie("a", "b")
            return response

        found = dict(answer(handler, request("{at}/x"))["headers"])
        assert found["x-rate"] == "1"
        assert not {"set-cookie", "connection", "content-length"} & found.keys()


class TestBodies:
    """Bodies are text, and bounded both ways."""

    def test_halves_of_characters_are_no_text(self):
        grants = [grant("https://api.test", method="POST")]
        refusal(grants, request("https://api.test/x", "POST", "a\ud800"), "invalid")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_some_methods_have_no_body(self, method: str):
        grants = [grant("https://api.test", method=method)]
        refusal(grants, request("https://api.test/x", method, ""), "invalid")

    def test_a_request_over_the_limit_is_not_sent(self):
        grants = [grant("https://api.test", method="POST", max_request=4)]
        asked = request("https://api.test/x", "POST", "éé1")
        assert "max_request" in refusal(grants, asked, "too-large")

    def test_an_answer_over_the_limit_names_the_line_to_raise(self):
        async def handler(asked: web.Request) -> web.Response:
            return web.Response(body=b"x" * 11)

        with pytest.raises(Refused, match="max_response") as caught:
            answer(handler, request("{at}/x"), max_response=10)
        assert caught.value.refusal.code == "too-large"

    @pytest.mark.parametrize(
        ("kind", "raw", "text"),
        [
            ("text/plain", "é".encode(), "é"),
            ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
            ('text/plain; charset="UTF-16"', "é".encode("utf-16"), "é"),
            ("text/plain", b"a\xffb\x00", "a�b\0"),
            ("text/plain; charset=none", "é".encode(), "é"),
            ("text/plain; charset=unicode_escape", b"\\u0041", "\\u0041"),
            ("text/plain; charset=zip", b"x", "x"),
            ("text/plain; charset=utf-7", b"+AEE-", "+AEE-"),
        ],
    )
    def test_a_body_is_text_of_its_charset_and_what_is_none_is_replaced(
        self, kind: str, raw: bytes, text: str
    ):
        async def handler(asked: web.Request) -> web.Response:
            return web.Response(body=raw, headers={"Content-Type": kind})

        assert answer(handler, request("{at}/x"))["body"] == text

    def test_a_head_has_no_body_and_a_status_is_an_answer(self):
        async def handler(asked: web.Request) -> web.Response:
            return web.Response(status=404, text="not here")

        assert answer(handler, request("{at}/x", "HEAD"))["body"] == ""
        assert answer(handler, request("{at}/x"))["status"] == 404


class TestRedirects:
    """Redirects are followed only to what is granted itself, and secrets do not go along."""

    def follow(
        self, grants: Any, asked: Any, redirect: Any, authority: Authority | None = None
    ) -> tuple[str, list[str]]:
        """Follow redirects from api.test to other.test; return the body or the refusal, and what
        each server saw.

        `redirect` gets path and ports' origins and returns status and location, or `None`.
        """
        seen: list[str] = []

        async def main() -> str:
            origins: list[str] = []

            async def handler(asked: web.Request) -> web.Response:
                secret = asked.headers.get("Authorization", "-")
                seen.append(f"{asked.method} {asked.host.split(':')[0]}{asked.raw_path} {secret}")
                found = redirect(asked.raw_path, *origins)
                if found is None:
                    return web.Response(text=f"end {await asked.text()}")
                return web.Response(status=found[0], headers={"Location": found[1]})

            tls = authority and authority.server()
            async with serve(handler, tls=tls) as port:
                scheme = "https" if tls else "http"
                origins += [f"{scheme}://{name}:{port}" for name in ("api.test", "other.test")]
                asked["url"] = asked["url"].replace("{at}", origins[0])
                async with guest(grants(*origins), authority and authority.client()) as send:
                    try:
                        return (await send(asked))["body"]
                    except Refused as error:
                        return f"{error.refusal.code}: {error.refusal.message}"

        return asyncio.run(main()), seen

    def test_one_that_is_granted_is_followed(self):
        text, seen = self.follow(
            lambda here, there: [grant(here, "/a"), grant(there, "/b")],
            request("{at}/a"),
            lambda path, here, there: (302, f"{there}/b") if path == "/a" else None,
        )
        assert (text, seen) == ("end ", ["GET api.test/a -", "GET other.test/b -"])

    @pytest.mark.parametrize("location", ["b", "/x/../b", "//other.test/b", "/b#there", "/%62"])
    def test_a_relative_one_is_read_from_where_it_came(self, location: str):
        text, _ = self.follow(
            lambda here, there: [grant(here, "/a"), grant(here, "/b")],
            request("{at}/a"),
            lambda path, here, there: (301, location) if path == "/a" else None,
        )
        expected = "not-granted: the answer is a redirect" if "//" in location else "end "
        assert text.startswith(expected)

    def test_one_that_is_not_granted_is_refused_with_its_line_and_not_asked(self):
        text, seen = self.follow(
            lambda here, there: [grant(here, "/a")],
            request("{at}/a"),
            lambda path, here, there: (302, f"{there}/b?token=1"),
        )
        assert text.startswith("not-granted: the answer is a redirect: GET http://other.test")
        assert "add to agent.toml" in text
        assert "token=1" not in text
        assert len(seen) == 1

    @pytest.mark.parametrize(
        "location",
        [
            *("file:///etc/passwd", "https://u:p@api.test/", "http://2130706433/", "javascript:1"),
            *("http://[::ffff:127.0.0.1]/", "/a/%2e%2e/b", "\\\\other.test/", "https:///x", "/é"),
        ],
    )
    def test_one_to_what_is_no_url_for_us_is_refused(self, location: str):
        text, seen = self.follow(
            lambda here, there: [grant(here)],
            request("{at}/a"),
            lambda path, here, there: (302, location),
        )
        assert text.startswith(("failed: ", "not-granted: "))
        assert len(seen) == 1

    @pytest.mark.parametrize(
        ("status", "method", "then", "body"),
        [
            (301, "POST", "GET", ""),
            (302, "POST", "GET", ""),
            (303, "POST", "GET", ""),
            (303, "PUT", "GET", ""),
            (307, "POST", "POST", "x"),
            (308, "POST", "POST", "x"),
            (302, "PUT", "PUT", "x"),
            (301, "DELETE", "DELETE", "x"),
        ],
    )
    def test_the_method_is_what_the_status_says(
        self, status: int, method: str, then: str, body: str
    ):
        text, seen = self.follow(
            lambda here, there: [grant(here, "/a", method), grant(here, "/b", then)],
            request("{at}/a", method, "x"),
            lambda path, here, there: (status, "/b") if path == "/a" else None,
        )
        assert text == f"end {body}"
        assert seen[1].startswith(f"{then} api.test/b")

    def test_a_method_that_is_kept_has_to_be_granted_there_as_well(self):
        text, seen = self.follow(
            lambda here, there: [grant(here, "/a", "POST"), grant(here, "/b", "GET")],
            request("{at}/a", "POST", "x"),
            lambda path, here, there: (307, "/b"),
        )
        assert 'method = "POST", path = "/b"' in text
        assert len(seen) == 1

    def test_redirects_have_an_end(self):
        text, seen = self.follow(
            lambda here, there: [grant(here)],
            request("{at}/0"),
            lambda path, here, there: (302, f"/{int(path[1:]) + 1}"),
        )
        assert text.startswith("failed: ")
        assert len(seen) == 6

    def test_a_secret_goes_to_its_origin_only_and_no_other_comes_in_its_place(
        self, authority: Authority
    ):
        """Not even back to its own origin, once it was left: another server has led there."""
        both = {"Authorization": "Bearer env:TOKEN"}, {"Authorization": "env:OTHER"}
        text, seen = self.follow(
            lambda here, there: [grant(here, headers=both[0]), grant(there, headers=both[1])],
            request("{at}/a"),
            lambda path, here, there: {
                "/a": (302, "/b"),
                "/b": (302, f"{there}/c"),
                "/c": (302, "/d"),
                "/d": (302, f"{here}/e"),
                "/e": (302, "/f"),
            }.get(path),
            authority,
        )
        assert text == "end "
        assert seen == [
            f"GET api.test/a Bearer {TOKEN}",
            f"GET api.test/b Bearer {TOKEN}",
            "GET other.test/c -",
            "GET other.test/d -",
            "GET api.test/e -",
            "GET api.test/f -",
        ]

    def test_a_secret_in_a_location_is_not_shown(self, authority: Authority):
        text, _ = self.follow(
            lambda here, there: [grant(here, headers={"Authorization": "env:TOKEN"})],
            request("{at}/a"),
            lambda path, here, there: (302, f"{there}/{TOKEN}"),
            authority,
        )
        assert text.startswith("not-granted")
        assert TOKEN not in text

    def test_a_public_server_does_not_lead_to_a_private_one(self):
        """It could have its visitors ask what only they can reach."""

        async def main() -> str:
            public = grant("https://api.test", "/a", private=False)
            home = grant("http://127.0.0.1:9", "/b")
            async with connected() as client:
                http = Http([public, home], EVENT, client)

                async def answered(*_: Any, **__: Any) -> Any:
                    from onecopy.agents.grants.http.answer import Response

                    return Response(302, [("Location", "http://127.0.0.1:9/b")], b"")

                # A server of the public Internet is what no test has.
                client.request = answered
                with pytest.raises(Refused) as caught:
                    await http.call("send", [request("https://api.test/a")])
                return caught.value.refusal.message

        assert "which is private" in asyncio.run(main())


def test_a_name_that_moves_to_a_private_address_is_refused_at_the_redirect():
    """Each request of a chain is checked by itself."""

    async def handler(asked: web.Request) -> web.Response:
        raise web.HTTPFound("/b")

    async def main() -> tuple[str, list[str]]:
        names = Names(api_test=[["127.0.0.1"], ["169.254.169.254"]])
        async with (
            serve(handler) as port,
            guest([grant(f"http://api.test:{port}")], names=names) as send,
        ):
            with pytest.raises(Refused) as caught:
                await send(request(f"http://api.test:{port}/a"))
            return caught.value.refusal.message, names.asked

    text, asked = asyncio.run(main())
    assert "169.254.169.254" in text
    assert asked == ["api.test"] * 2


def test_a_slow_chain_of_redirects_has_one_time_for_all():
    async def handler(asked: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        raise web.HTTPFound(f"/{int(asked.path[1:]) + 1}")

    with pytest.raises(Refused) as caught:
        answer(handler, request("{at}/0"), timeout=0.5)
    assert caught.value.refusal.code == "timeout"


def test_many_requests_go_on_at_once():
    """All wait in the server until the last one is there."""

    async def main() -> int:
        count, there = 0, asyncio.Event()

        async def handler(asked: web.Request) -> web.Response:
            nonlocal count
            count += 1
            if count == 50:
                there.set()
            await there.wait()
            return web.Response(text="x")

        async with serve(handler) as port, guest([grant(f"http://api.test:{port}")]) as send:
            asked = [send(request(f"http://api.test:{port}/{n}")) for n in range(50)]
            return len(await asyncio.gather(*asked))

    assert asyncio.run(main()) == 50


def test_a_request_that_is_cancelled_closes_its_connection():
    async def main() -> None:
        there, gone = asyncio.Event(), asyncio.Event()

        async def handler(asked: web.Request) -> web.Response:
            there.set()
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()
            return web.Response()

        async def watch(asked: web.Request) -> web.Response:
            work = asyncio.ensure_future(handler(asked))
            while asked.transport is not None and not asked.transport.is_closing():
                await asyncio.sleep(0.01)
            work.cancel()
            raise web.HTTPBadRequest

        async with serve(watch) as port, guest([grant(f"http://api.test:{port}")]) as send:
            asking = asyncio.ensure_future(send(request(f"http://api.test:{port}/x")))
            await there.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await gone.wait()

    asyncio.run(main())
