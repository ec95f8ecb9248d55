"""What `[grants.llm]` names."""

from __future__ import annotations

import pytest

import onecopy
from onecopy import InvalidArgument
from onecopy.agents.grants.http.client import Client
from onecopy.agents.grants.llm.endpoint import Endpoint
from onecopy.agents.grants.llm.local import LocalModel
from onecopy.agents.grants.llm.model import chat_model
from onecopy.agents.manifest.grants import LlmGrant
from onecopy.agents.secrets import Secret, Secrets


def test_an_endpoint_gets_its_key() -> None:
    grant = LlmGrant(url="https://api.example/v1", models=("m",), key=Secret("env:KEY"))
    model = chat_model(grant, Client(), Secrets({"KEY": "sk-1234"}), None)
    assert isinstance(model, Endpoint)
    model.close()
    with pytest.raises(InvalidArgument, match="KEY"):
        chat_model(grant, Client(), Secrets({}), None)


def test_a_model_of_a_store_needs_one() -> None:
    grant = LlmGrant(model="store:tiny")
    with onecopy.start("models", capacity="16MiB") as store:
        model = chat_model(grant, Client(), Secrets({}), store)
        assert isinstance(model, LocalModel)
        model.close()
    with pytest.raises(InvalidArgument, match="--store"):
        chat_model(grant, Client(), Secrets({}), None)
