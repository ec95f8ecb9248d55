"""Deliveries are taken from whom has the secret, and from nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.signature import TOLERANCE, Delivery, check_secret, verify
from onecopy.errors import ForgedEvent, InvalidArgument

SECRET = "It's a Secret to Everybody"
NOW = 1_700_000_000
BODY = b"Hello, World!"


def github(body: bytes = BODY, secret: str = SECRET, **changes: str) -> dict[str, str]:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-GitHub-Delivery": "72d3162e", "X-Hub-Signature-256": f"sha256={mac}"} | {
        name.replace("_", "-"): value for name, value in changes.items()
    }


def standard(body: bytes = BODY, key: bytes = SECRET.encode(), at: int = NOW) -> dict[str, str]:
    mac = hmac.new(key, b"msg_1.%d." % at + body, hashlib.sha256).digest()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def check(kind: str, headers: object, body: bytes = BODY, secret: str = SECRET) -> Delivery:
    return verify(kind, secret, headers, body, now=lambda: NOW)


def forged(kind: str, headers: object, body: bytes = BODY) -> str:
    with pytest.raises(ForgedEvent) as caught:
        check(kind, headers, body)
    return str(caught.value)


def test_the_example_of_githubs_documentation_is_right():
    mac = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": f"sha256={mac}", "X-GitHub-Delivery": "72d3162e"}
    assert check("github", headers) == Delivery("72d3162e", hashlib.sha256(BODY).hexdigest())


def test_a_standard_secret_may_be_base64_behind_its_prefix():
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    body = b'{"email":"test@example.com","username":"test_user"}'
    key = base64.b64decode(secret.removeprefix("whsec_"))
    headers = standard(body, key)
    assert check("standard", headers, body, secret).id == "msg_1"


def test_names_of_headers_are_of_any_case():
    assert check("github", {n.lower(): v for n, v in github().items()}).id == "72d3162e"
    assert check("github", [(n.upper(), v) for n, v in github().items()]).id == "72d3162e"
    assert check("standard", {n.title(): v for n, v in standard().items()}).id == "msg_1"


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_signature_is_for_one_body(signed: bytes, sent: bytes):
    for kind, headers in (("github", github(signed)), ("standard", standard(signed))):
        if signed == sent:
            check(kind, headers, sent)
        else:
            forged(kind, headers, sent)


@given(st.text(max_size=80), st.sampled_from([*github(), *standard()]))
def test_no_text_in_a_header_does_anything_but_be_refused(value: str, name: str):
    for kind, headers in (("github", github()), ("standard", standard())):
        if name in headers and value != headers[name] and not name.endswith(("Delivery",)):
            forged(kind, {**headers, name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "sha256=", "sha1=" + "0" * 40, "sha256=" + "0" * 64, "é" * 64),
        github()["X-Hub-Signature-256"].upper(),
        github()["X-Hub-Signature-256"] + " ",
        github()["X-Hub-Signature-256"].removeprefix("sha256="),
    ],
)
def test_a_wrong_signature_of_github_is_refused(wrong: str):
    forged("github", github(X_Hub_Signature_256=wrong))


def test_each_header_has_to_be_there_once():
    for kind, headers in (("github", github()), ("standard", standard())):
        for name in headers:
            forged(kind, {n: v for n, v in headers.items() if n != name})
            forged(kind, [*headers.items(), (name.lower(), headers[name])])


def test_another_secret_is_no_use():
    forged("github", github(secret="another secret"))
    forged("standard", standard(key=b"another secret"))


def test_the_old_sha1_signature_is_not_looked_at():
    mac = hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()
    forged("github", {"X-GitHub-Delivery": "1", "X-Hub-Signature": f"sha1={mac}"})


@pytest.mark.parametrize("delivery", ["", "a b", "x" * 129, "a\n", "../x", "é"])
def test_an_id_is_a_plain_name(delivery: str):
    forged("github", github(X_GitHub_Delivery=delivery))


def test_one_of_several_signatures_is_enough():
    headers = standard()
    right = headers["webhook-signature"]
    check("standard", {**headers, "webhook-signature": f"v1,AAAA v1a,x {right}"})
    forged("standard", {**headers, "webhook-signature": "v1,AAAA " * 16 + right})
    forged("standard", {**headers, "webhook-signature": right.replace("v1,", "v2,")})


def test_an_old_delivery_and_one_of_the_future_are_refused():
    edge = int(TOLERANCE)
    check("standard", standard(at=NOW - edge))
    check("standard", standard(at=NOW + edge))
    assert "clock" in forged("standard", standard(at=NOW - edge - 1))
    assert "clock" in forged("standard", standard(at=NOW + edge + 1))


def test_id_and_time_of_a_standard_webhook_are_signed():
    forged("standard", standard() | {"webhook-id": "msg_2"})
    forged("standard", standard() | {"webhook-timestamp": str(NOW + 1)})
    forged("standard", standard() | {"webhook-timestamp": f"+{NOW}"})


def test_a_time_is_told_only_to_who_can_sign():
    headers = standard(at=1) | {"webhook-signature": "v1,AAAA"}
    assert "clock" not in forged("standard", headers)


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("github", ""),
        ("github", "short"),
        ("standard", "whsec_"),
        ("standard", "whsec_AAAA"),
        ("standard", "whsec_no base64!"),
        ("standard", "whsec_é" + "x" * 20),
    ],
)
def test_a_secret_that_protects_nothing_is_refused(kind: str, secret: str):
    with pytest.raises(InvalidArgument):
        check_secret(kind, secret)
    with pytest.raises(InvalidArgument):
        check(kind, {}, secret=secret)


def test_another_kind_of_signature_is_not_known():
    with pytest.raises(InvalidArgument, match="github and standard"):
        check("none", github())
