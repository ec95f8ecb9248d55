"""deploy/agents/github-app-token asks as GitHub wants it; a GitHub of this test answers."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT

PROGRAM = ROOT / "deploy/agents/github-app-token"
CLIENT = "Iv23liexample"

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("openssl", "curl"))), reason="no openssl, or no curl"
)


class GitHub(ThreadingHTTPServer):
    """Gives its tokens to whoever asks, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: tuple[int, dict[str, Any]] = (201, {"token": "ghs_one", "permissions": {}})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_POST(self) -> None:
        self.server.asked.append((self.path, dict(self.headers.items())))
        status, value = self.server.answer
        self.send_response(status)
        self.end_headers()
        # GitHub's answers have line breaks if asked by curl.
        self.wfile.write(json.dumps(value, indent=2).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("app") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
    return path


def ask(github: GitHub, key: Path, file: Path) -> subprocess.CompletedProcess[str]:
    line = [str(PROGRAM), CLIENT, "42", str(key), str(file)]
    # No proxy is for this machine.
    env = {"PATH": os.environ["PATH"], "GITHUB_API": github.url, "NO_PROXY": "*"}
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_the_token_is_asked_for_with_a_signed_claim_that_is_valid_now(
    github: GitHub, key: Path, tmp_path: Path
) -> None:
    done = ask(github, key, tmp_path / "token")
    assert done.returncode == 0, done.stderr
    ((path, headers),) = github.asked
    assert path == "/app/installations/42/access_tokens"
    kind, _, jwt = headers["Authorization"].partition(" ")
    head, claims, signature = jwt.split(".")
    assert (kind, json.loads(decoded(head))) == ("Bearer", {"alg": "RS256", "typ": "JWT"})
    claimed = json.loads(decoded(claims))
    assert claimed["iss"] == CLIENT
    assert claimed["iat"] < time.time() < claimed["exp"]
    assert claimed["exp"] - claimed["iat"] <= 600  # or GitHub refuses it
    verify(key, tmp_path, f"{head}.{claims}", decoded(signature))


def verify(key: Path, folder: Path, text: str, signature: bytes) -> None:
    """Have openssl check a signature by the public half of the key."""
    (folder / "signature").write_bytes(signature)
    public = ["openssl", "rsa", "-in", key, "-pubout", "-out", folder / "public.pem"]
    subprocess.run(public, check=True, capture_output=True)
    line = ["openssl", "dgst", "-sha256", "-verify", folder / "public.pem"]
    subprocess.run(
        [*line, "-signature", folder / "signature"], input=text.encode(), check=True,
        capture_output=True,
    )  # fmt: skip


def test_the_file_is_replaced_and_its_group_may_read_it(
    github: GitHub, key: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    for token in ("ghs_one", "ghs_two"):
        github.answer = 201, {"token": token, "expires_at": "2026-01-01T00:00:00Z"}
        assert ask(github, key, file).returncode == 0
        assert file.read_text() == f"{token}\n"
        assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("answer", [(401, {"message": "Bad credentials"}), (201, {})])
def test_what_is_no_token_leaves_the_old_one(
    github: GitHub, key: Path, tmp_path: Path, answer: tuple[int, dict[str, Any]]
) -> None:
    (tmp_path / "token").write_text("ghs_old\n")
    github.answer = answer
    done = ask(github, key, tmp_path / "token")
    assert done.returncode != 0
    assert done.stderr
    assert "BEGIN" not in done.stderr
    assert (tmp_path / "token").read_text() == "ghs_old\n"
    assert [each.name for each in tmp_path.iterdir()] == ["token"]
