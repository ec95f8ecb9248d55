"""The client reaches what it may, at addresses that were checked, and bounds what it reads."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path

import pytest
from aiohttp import web

from onecopy.agents.calls import Refused
from onecopy.agents.grants.http.client import Client

from .servers import LIMITS, Authority, Names, connected, serve, serve_raw

ODD = """
    2130706433 0x7f.1 0x7f000001 127.1 0177.0.0.1 127.0.0.1. [::1%25lo] [::ffff:127.0.0.1]
    [::ffff:127.0.0.1]%25lo ①②⑦.0.0.1 127。0。0。1 user@127.0.0.1 127.0.0.1:0 127.0.0.1:99999
""".split()  # noqa: SIM905


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {request.raw_path} of {request.host}")


def refused(code: str, url: str, names: Names | None = None, **limits: object) -> str:
    """Make a request that is refused with this code, and return the text."""

    async def main() -> str:
        async with connected(names) as client:
            with pytest.raises(Refused) as caught:
                await client.request("GET", url, **{**LIMITS, **limits})
            assert caught.value.refusal.code == code, caught.value.refusal.message
            return caught.value.refusal.message

    return asyncio.run(main())


def test_a_request_arrives_as_it_was_written_with_the_name_of_its_host():
    async def main() -> None:
        async with serve(hello) as port, connected() as client:
            url = f"http://api.test:{port}/a%20b/%C3%A9?x=%26&y=1"
            response = await client.request("GET", url, {"Accept": "*/*"}, **LIMITS)
            assert response.text() == f"GET /a%20b/%C3%A9?x=%26&y=1 of api.test:{port}"
            assert response.status == 200

    asyncio.run(main())


def test_only_given_headers_are_sent_and_no_cookie_is_kept():
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        response = web.Response(text="x")
        response.set_cookie("a", "b")
        return response

    async def main() -> int:
        async with serve(handler) as port, connected() as client:
            for _ in range(2):
                url = f"http://api.test:{port}/"
                await client.request("POST", url, {"X-A": "1"}, "é", **LIMITS)
            return port

    port = asyncio.run(main())
    expected = {"host": f"api.test:{port}", "x-a": "1", "content-length": "2"}
    assert seen == [expected, expected]


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to():
    """A name that changes between check and connect changes nothing."""
    names = Names(api_test=[["127.0.0.1"], ["127.0.0.2"]])

    async def here(request: web.Request) -> web.Response:
        return web.Response(text=str(request.transport.get_extra_info("sockname")[0]))

    async def main() -> list[str]:
        async with (
            serve(here) as port,
            serve(here, host="127.0.0.2", port=port),
            connected(names) as client,
        ):
            url = f"http://api.test:{port}/"
            return [(await client.request("GET", url, **LIMITS)).text() for _ in range(2)]

    assert asyncio.run(main()) == ["127.0.0.1", "127.0.0.2"]
    assert names.asked == ["api.test"] * 2


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "169.254.169.254"],
)
def test_one_address_that_is_not_granted_refuses_a_name(address: str):
    names = Names(api_test=[["93.184.215.14", address]])
    text = refused("not-granted", "https://api.test/", names, private=False)
    assert address in text
    assert "private = true" in text


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "[::]", "224.0.0.1", "[fe80::1]"])
def test_some_addresses_no_grant_allows(host: str):
    refused("not-granted", f"http://{host}/")


@pytest.mark.parametrize(
    "host",
    ODD,
)
@pytest.mark.parametrize("private", [True, False])
def test_odd_ways_to_write_an_address_are_no_urls(host: str, private: bool):
    refused("invalid", f"http://{host}/", private=private)
    refused("invalid", f"https://{host}/", private=private)


def test_an_address_in_a_url_is_checked_as_well():
    refused("not-granted", "https://127.0.0.1/", private=False)
    refused("not-granted", "https://[::1]/", private=False)


def test_the_systems_resolver_is_asked_without_another():
    async def main() -> None:
        client = Client()
        async with serve(hello) as port:
            url = f"http://localhost:{port}/"
            assert (await client.request("GET", url, **LIMITS)).status == 200
            with pytest.raises(Refused) as caught:
                await client.request("GET", "https://localhost/", **{**LIMITS, "private": False})
            assert caught.value.refusal.code == "not-granted"
        await client.close()

    asyncio.run(main())


def test_http_is_for_private_addresses_only():
    assert "encrypted" in refused("not-granted", "http://93.184.215.14/")
    assert "https://" in refused("not-granted", "http://api.test/", private=False)


def test_a_connection_that_is_kept_open_is_no_way_around_the_check():
    async def main() -> None:
        async with serve(hello) as port, connected() as client:
            url = f"https://api.test:{port}/"
            await client.request("GET", url.replace("https", "http"), **LIMITS)
            for each in (url, url.replace("https", "http")):
                with pytest.raises(Refused) as caught:
                    await client.request("GET", each, **{**LIMITS, "private": False})
                assert caught.value.refusal.code == "not-granted"

    asyncio.run(main())


def test_variables_for_proxies_are_not_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login a password b")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(netrc))

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("Authorization", "none"))

    async def main() -> str:
        async with serve(handler) as port, connected() as client:
            url = f"http://api.test:{port}/"
            return (await client.request("GET", url, **LIMITS)).text()

    assert asyncio.run(main()) == "none"


def test_a_redirect_is_an_answer_like_any_other():
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def main() -> int:
        async with serve(handler) as port, connected() as client:
            return (await client.request("GET", f"http://api.test:{port}/", **LIMITS)).status

    assert asyncio.run(main()) == 302


def test_the_next_address_is_tried_where_nothing_listens():
    async def main() -> str:
        names = Names(api_test=[["127.0.0.9", "127.0.0.1"]])
        async with serve(hello) as port, connected(names) as client:
            return (await client.request("GET", f"http://api.test:{port}/", **LIMITS)).text()

    assert asyncio.run(main()).startswith("GET / of api.test")


def test_nobody_listening_and_no_such_name_mean_that_nothing_was_sent():
    assert "nothing was sent" in refused("unavailable", "http://127.0.0.1:1/")
    assert "has no address" in refused("unavailable", "https://absent.test/")


class TestTls:
    """Certificates are checked against the name, whatever the address is."""

    def test_a_certificate_of_a_trusted_authority_for_the_name_is_good(self, authority: Authority):
        async def main() -> str:
            async with (
                serve(hello, tls=authority.server()) as port,
                connected(tls=authority.client()) as client,
            ):
                url = f"https://api.test:{port}/"
                return (await client.request("GET", url, **LIMITS)).text()

        assert asyncio.run(main()).startswith("GET / of api.test:")

    def test_a_certificate_for_another_name_is_refused(self, authority: Authority):
        names = Names(evil_test=[["127.0.0.1"]])
        assert "evil.test" in self.untrusted(authority, "evil.test", names, authority.client())

    def test_an_address_is_no_name_of_a_certificate(self, authority: Authority):
        self.untrusted(authority, "127.0.0.1", Names(), authority.client())

    def test_an_authority_that_the_system_does_not_know_is_refused(self, authority: Authority):
        names = Names(api_test=[["127.0.0.1"]])
        assert "cannot be trusted" in self.untrusted(authority, "api.test", names, None)

    def test_two_names_at_one_address_share_no_connection(self, authority: Authority):
        """One that was checked for a name would not be for the other."""
        ports: list[int] = []

        async def handler(request: web.Request) -> web.Response:
            ports.append(request.transport.get_extra_info("peername")[1])
            return web.Response(text="x")

        async def main() -> None:
            async with (
                serve(handler, tls=authority.server()) as port,
                connected(tls=authority.client()) as client,
            ):
                for name in ("api.test", "other.test", "api.test"):
                    await client.request("GET", f"https://{name}:{port}/", **LIMITS)

        asyncio.run(main())
        assert ports[0] == ports[2]
        assert ports[0] != ports[1]

    def untrusted(self, authority: Authority, host: str, names: Names, tls: object) -> str:
        async def main() -> str:
            async with (
                serve(hello, tls=authority.server()) as port,
                connected(names, tls) as client,
            ):
                with pytest.raises(Refused) as caught:
                    await client.request("GET", f"https://{host}:{port}/", **LIMITS)
                assert caught.value.refusal.code == "unavailable"
                return caught.value.refusal.message

        return asyncio.run(main())


class TestAnswers:
    """What servers send is bounded in size and time."""

    def ask(self, talk, **limits: object) -> str:
        """Return the text of an answer, or the code of why there is none."""

        async def main() -> str:
            async with serve_raw(talk) as port, connected() as client:
                try:
                    answer = await client.request(
                        "GET", f"http://127.0.0.1:{port}/", **{**LIMITS, **limits}
                    )
                except Refused as error:
                    return error.refusal.code
                return answer.text()

        return asyncio.run(main())

    def say(self, head: str, body: bytes = b"", **limits: object) -> str:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
            await writer.drain()

        return self.ask(talk, **limits)

    def test_an_answer_over_the_limit_is_cut(self):
        head = "HTTP/1.1 200 OK\nContent-Length: 100"
        assert self.say(head, b"x" * 100, max_bytes=100) == "x" * 100
        assert self.say(head, b"x" * 100, max_bytes=99) == "too-large"

    def test_an_answer_without_end_is_cut(self):
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        assert self.ask(talk) == "too-large"

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate"])
    def test_compressed_answers_are_decompressed(self, encoding: str):
        pack = gzip.compress if "gzip" in encoding.lower() else zlib.compress
        body = pack(b"hello" * 100)
        head = f"HTTP/1.1 200 OK\nContent-Encoding: {encoding}\nContent-Length: {len(body)}"
        assert self.say(head, body) == "hello" * 100
        assert self.say(head, body, max_bytes=499) == "too-large"

    def test_a_decompression_bomb_is_not_unpacked(self):
        body = gzip.compress(bytes(64 << 20), 1)
        head = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(body)}"
        assert self.say(head, body, max_bytes=4 << 20) == "too-large"

    def test_compressed_bytes_that_decode_to_nothing_count_as_well(self):
        body = b"\x1f\x8b\x08" + bytes(7) + b"\x00\x00\x00\xff\xff" * 100_000
        head = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(body)}"
        assert self.say(head, body, max_bytes=10_000) == "too-large"

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("br", b"x"),
            ("gzip, gzip", b"x"),
            ("gzip", b"no gzip"),
            ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-9]),
            ("gzip", gzip.compress(b"x", mtime=0) + b"more"),
        ],
    )
    def test_what_is_not_encoded_as_asked_has_failed(self, encoding: str, body: bytes):
        head = f"HTTP/1.1 200 OK\nContent-Encoding: {encoding}\nContent-Length: {len(body)}"
        assert self.say(head, body) == "failed"

    @pytest.mark.parametrize(
        "head",
        [
            "HTTP/1.1 200 OK\nContent-Length: 1000",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked",
            "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3",
            "HTTP/1.1 200 OK\nContent-Length: -1",
            "HTTP/1.1 abc",
            "nonsense",
            "",
            "HTTP/1.1 200 OK\nX: " + "x" * 100_000,
            "HTTP/1.1 200 OK\n" + "\n".join(f"X-{n}: 1" for n in range(1000)),
        ],
    )
    def test_answers_that_are_cut_or_no_http_have_failed(self, head: str):
        assert self.say(head, b"abc") == "failed"

    def test_a_server_that_says_nothing_takes_too_long(self):
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        assert self.ask(talk, timeout=0.2) == "timeout"

    def test_a_server_that_drips_takes_too_long(self):
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

        assert self.ask(talk, timeout=0.3) == "timeout"

    def test_a_name_server_that_hangs_holds_up_a_request_for_its_time_only(self):
        class Hanging(Names):
            async def resolve(self, host: str, port: int) -> list[str]:
                await asyncio.Event().wait()
                return []

        assert "no name server" in refused(
            "unavailable", "http://api.test/", Hanging(), timeout=0.1
        )


class TestStream:
    """An answer is read while it comes, as server-sent events are."""

    def test_pieces_come_while_the_answer_goes_on(self):
        """The server says more only when the first piece was read."""

        async def main() -> list[bytes]:
            first = asyncio.Event()

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\ndata: one\n\n")
                await first.wait()
                writer.write(b"data: two\n\n")
                await writer.drain()

            pieces: list[bytes] = []
            async with serve_raw(talk) as port, connected() as client:
                url = f"http://127.0.0.1:{port}/"
                async with client.stream("GET", url, private=True, timeout=20) as answer:
                    assert (answer.status, answer.headers["x-a"]) == (200, "1")
                    async for piece in answer.chunks():
                        pieces.append(piece)
                        first.set()
            return pieces

        assert asyncio.run(main()) == [b"data: one\n\n", b"data: two\n\n"]

    def test_who_stops_reading_closes_the_connection(self):
        async def main() -> None:
            gone = asyncio.Event()

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: one\n\n")
                await reader.read()
                gone.set()

            async with serve_raw(talk) as port, connected() as client:
                url = f"http://127.0.0.1:{port}/"
                async with client.stream("GET", url, **LIMITS) as answer:
                    async for _ in answer.chunks():
                        break
                await gone.wait()

        asyncio.run(main())

    def test_a_pause_that_is_too_long_ends_a_stream(self):
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: x\n\n")
            await reader.read()

        async def main() -> tuple[list[bytes], str]:
            pieces: list[bytes] = []
            async with serve_raw(talk) as port, connected() as client:
                url = f"http://127.0.0.1:{port}/"
                async with client.stream("GET", url, **LIMITS, idle=0.1) as answer:
                    with pytest.raises(Refused) as caught:
                        async for piece in answer.chunks():
                            pieces.append(piece)
                    return pieces, caught.value.refusal.code

        assert asyncio.run(main()) == ([b"data: x\n\n"], "timeout")


def test_a_client_that_is_closed_says_so():
    async def main() -> None:
        client = Client(resolver=Names())
        await client.close()
        await client.close()
        with pytest.raises(Refused, match="closed"):
            await client.request("GET", "http://127.0.0.1/", **LIMITS)

    asyncio.run(main())


@pytest.mark.parametrize(
    "header", [("A", "b\r\nX: y"), ("A\n", "b"), ("A b", "c"), ("", "c"), ("A", "é"), ("A", " b")]
)
def test_a_header_that_could_be_two_is_refused(header: tuple[str, str]):
    async def main() -> None:
        async with connected() as client:
            with pytest.raises(Refused) as caught:
                await client.request("GET", "http://127.0.0.1:1/", [header], **LIMITS)
            assert caught.value.refusal.code == "invalid"

    asyncio.run(main())
