"""The doctor against real services, and without any."""

import json
import os
import socket
import threading
from collections.abc import Callable

import msgspec
import pytest
from click.testing import CliRunner

from freshet.commands.main import cli
from freshet.core.settings import Settings, describe_settings, environment_of
from freshet.embedded.child import Child

pytestmark = pytest.mark.services


def _doctor(settings: Settings, *arguments: str) -> tuple[int, dict]:
    environment = {name: None for name in os.environ if name.startswith("FRESHET_")}
    done = CliRunner(env=environment | environment_of(settings)).invoke(
        cli, ["doctor", "--json", *arguments]
    )
    found = json.loads(done.stdout)
    return done.exit_code, {each["what"]: each for each in found["findings"]}


def test_without_services_it_says_what_to_start() -> None:
    """And ends with 1, soon."""
    away = Settings(kafka_bootstrap="127.0.0.1:1", redis_url="redis://127.0.0.1:1", http_port=1)
    code, found = _doctor(away)
    assert code == 1
    assert found["kafka"]["level"] == found["redis"]["level"] == "fail"
    assert "FRESHET_KAFKA_BOOTSTRAP" in found["kafka"]["advice"]
    assert found["model"]["level"] == found["server"]["level"] == "warn"


@pytest.mark.parametrize("host", ["::1", "[::1]", "::", "0.0.0.0", "127.0.0.1"])
def test_addresses_of_ipv6_are_looked_at(host: str) -> None:
    """Without a traceback, and named as a URL has them."""
    away = Settings(
        kafka_bootstrap="[::1]:1", redis_url="redis://[::1]:1", http_host=host, http_port=1
    )
    code, found = _doctor(away)
    assert code == 1
    assert found["kafka"]["level"] == found["redis"]["level"] == "fail"
    url = "http://[::1]:1" if ":" in host else "http://127.0.0.1:1"
    assert found["server"]["found"] == f"none at {url}"


def test_a_running_installation_is_well(
    settings: Settings,
    worker: Callable[[Settings], Child],
    wait_until: Callable[..., None],
) -> None:
    """Topics agree, the folds are at the end of their logs; only warnings are left."""
    worker(settings)
    wait_until(lambda: _doctor(settings)[1].get("state", {}).get("level") == "ok", 30)
    code, found = _doctor(settings)
    assert code == 0
    assert found["topics"]["found"] == "6 with 4 partitions each"
    assert "KiB at once" in found["redis socket"]["found"]
    assert [found[f"{fold} fold"]["level"] for fold in ("users", "items", "catalog", "slates")] == [
        "ok"
    ] * 4


def test_a_port_of_another_program_is_found(settings: Settings) -> None:
    """Something listens there that does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def hang_up() -> None:
            for _ in range(2):
                other.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        taken = msgspec.structs.replace(settings, http_port=other.getsockname()[1])
        _, found = _doctor(taken)
        thread.join()
    assert (found["server"]["level"], found["server"]["advice"]) == (
        "fail",
        "set FRESHET_HTTP_PORT",
    )


def test_every_setting_is_printed() -> None:
    """With its value."""
    shown = CliRunner(env={"FRESHET_NAMESPACE": "mine", "COLUMNS": "200"}).invoke(
        cli, ["doctor", "--settings"]
    )
    assert "mine" in shown.output
    for name, _, _ in describe_settings():
        assert f"FRESHET_{name.upper()}" in shown.output
