"""Kafka with SASL and TLS, Redis with TLS, a user and certificates, and all that connects."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from freshet.commands import dlq, doctor, lag
from freshet.commands.processes import Server
from freshet.core.advice import redis_advice
from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions, existing_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of
from freshet.core.state.client import CLIENT_ERRORS, connect, connect_async
from freshet.embedded.child import Child
from freshet.embedded.kafka_layout import HOST
from tests.end_to_end.secured import KEY_PASSWORD, PASSWORD, Company

pytestmark = [pytest.mark.services, pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Both services."""
    if os.environ.get("FRESHET_NO_KAFKA") == "1":
        pytest.skip("APACHE KAFKA IS SWITCHED OFF by FRESHET_NO_KAFKA=1")
    with Company(tmp_path_factory.mktemp("company")) as company:
        yield company


def test_a_click_reaches_a_list_through_both(
    company: Company,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
    wait_until: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Worker, server, producer and the verbs that look; no password in what they print."""
    settings = company.settings(models_dir=str(tmp_path / "models"))
    partitions = discover_partitions(settings)
    folding = worker(settings)
    serving = server(settings)
    event = Event(event_id="e1", type="click", user_id="u", item_id="i", ts_ms=1_764_000_000_000)
    with closing(EventProducer(settings)) as producer:
        topic, key = Topics(settings.namespace).events, event.user_id
        producer.send(topic, partition_of(key, partitions), encode(event), key=key.encode())
        producer.flush()
    with httpx.Client(base_url=serving.url) as client:
        item = {"item_id": "i2", "title": "Two"}
        assert client.put("/v1/items/i2", json=item).is_success
        seen: list[Any] = []

        def listed() -> bool:
            answer = client.get("/v1/recommendations", params={"user": "u", "k": 5})
            seen.append(answer.text)
            found = answer.json() if answer.is_success else {}
            offered = [each["item_id"] for each in found.get("items", ())]
            return found.get("as_of") is not None and "i2" in offered

        wait_until(listed, 90, seen)
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    printed = folding.log_tail(1000) + serving.child.log_tail(1000)
    for verb, arguments in ((lag, []), (dlq, ["ls"]), (doctor, ["--settings"]), (doctor, [])):
        done = CliRunner().invoke(verb.command, arguments)
        assert done.exit_code == 0, done.output
        printed += done.output
    assert PASSWORD not in printed
    assert KEY_PASSWORD not in printed


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        ("SASL_SSL", {"kafka_sasl_mechanism": "PLAIN"}),
        ("SASL_SSL", {"kafka_sasl_mechanism": "SCRAM-SHA-256"}),
        ("SASL_PLAINTEXT", {}),
        ("SSL", {}),
    ],
)
def test_every_protocol_is_spoken(company: Company, protocol: str, changes: dict[str, str]) -> None:
    """With a certificate of ours where the brokers want one."""
    assert discover_partitions(company.settings(protocol, **changes)) == 2


@pytest.mark.parametrize(
    ("protocol", "changes", "said"),
    [
        ("SASL_SSL", {"kafka_sasl_password": "wr0ng"}, "FRESHET_KAFKA_SASL_PASSWORD"),
        ("SASL_SSL", {"kafka_sasl_mechanism": "PLAIN", "kafka_sasl_password": "wr0ng"},
         "FRESHET_KAFKA_SASL_PASSWORD"),
        ("SASL_SSL", {"kafka_ssl_ca_location": ""}, "FRESHET_KAFKA_SSL_CA_LOCATION"),
        ("SSL", {"kafka_ssl_certificate_location": "", "kafka_ssl_key_location": "",
                 "kafka_ssl_key_password": ""}, "FRESHET_KAFKA_SSL_CERTIFICATE_LOCATION"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    company: Company, protocol: str, changes: dict[str, str], said: str
) -> None:
    """And which setting to change; never that somebody should start it."""
    _refused(company.settings(protocol, **changes), said)


@pytest.mark.parametrize(
    ("spoken", "at", "said"),
    [
        ("PLAINTEXT", "SASL_SSL", "FRESHET_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        ("PLAINTEXT", "SASL_PLAINTEXT", "FRESHET_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        ("SASL_SSL", "PLAINTEXT", "do not speak TLS"),
        ("SASL_PLAINTEXT", "SASL_SSL", "FRESHET_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT"),
    ],
)
def test_another_protocol_than_that_of_the_port_is_said(
    company: Company, spoken: str, at: str, said: str
) -> None:
    """TLS where there is none, none where there is, and a login that is missing."""
    port = company.ports.get(at, company.plain_port)
    settings = (
        Settings(kafka_security_protocol=spoken)
        if spoken == "PLAINTEXT"
        else company.settings(spoken)
    )
    changed = {name: getattr(settings, name) for name in settings.__struct_fields__}
    _refused(Settings(**{**changed, "kafka_bootstrap": f"{HOST}:{port}"}), said)


def _refused(settings: Settings, said: str) -> None:
    with pytest.raises(ServiceError) as caught:
        existing_partitions(settings)
    sentence = str(caught.value)
    assert said in sentence, sentence
    assert "start it" not in sentence
    assert PASSWORD not in sentence
    assert "wr0ng" not in sentence


@pytest.mark.parametrize(
    ("replaced", "changes", "said"),
    [
        ((PASSWORD, "wr0ng"), {}, "FRESHET_REDIS_URL names them"),
        (("rediss://", "redis://"), None, "rediss://"),
        (("", ""), {"redis_ssl_ca_location": ""}, "FRESHET_REDIS_SSL_CA_LOCATION"),
        (("", ""), {"redis_ssl_certificate_location": "", "redis_ssl_key_location": "",
                    "redis_ssl_key_password": ""}, "FRESHET_REDIS_SSL_CERTIFICATE_LOCATION"),
    ],
)  # fmt: skip
def test_what_redis_wants_is_said(
    company: Company, replaced: tuple[str, str], changes: dict[str, str] | None, said: str
) -> None:
    """By the client of commands and by that of server and worker."""
    url = company.redis_url.replace(*replaced)
    settings = (
        Settings(redis_url=url) if changes is None else company.settings(redis_url=url, **changes)
    )

    async def ping() -> None:
        async with connect_async(settings, timeout_s=5.0) as client:
            await client.ping()

    with pytest.raises(CLIENT_ERRORS) as of_command, connect(settings, timeout_s=5.0) as client:
        client.ping()
    with pytest.raises(CLIENT_ERRORS) as of_process:
        asyncio.run(ping())
    for caught in (of_command, of_process):
        assert said in redis_advice(caught.value), str(caught.value)
        assert PASSWORD not in str(caught.value)
