"""docker/: what can be checked without an engine."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from freshet.commands.main import VERBS
from freshet.core.settings import ENV_PREFIX, describe_settings, load_settings
from freshet.core.telemetry import TELEMETRY_OFF


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    """docker/compose.yaml, parsed."""
    parsed: dict[str, Any] = yaml.safe_load((root / "docker/compose.yaml").read_text())
    return parsed


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> str:
    """docker/Dockerfile."""
    return (root / "docker/Dockerfile").read_text()


def test_every_file_parses(root: Path) -> None:
    """YAML and JSON alike."""
    for path in (root / "docker").rglob("*.y*ml"):
        assert yaml.safe_load(path.read_text()), path
    for path in (root / "docker").rglob("*.json"):
        assert json.loads(path.read_text()), path


def test_the_environments_are_settings(compose: dict[str, Any]) -> None:
    """A process would not start with a name or a value that is none."""
    for service in compose["services"].values():
        ours = {
            name: value
            for name, value in service.get("environment", {}).items()
            if name.startswith(ENV_PREFIX)
        }
        load_settings(ours)


def test_the_commands_are_verbs(compose: dict[str, Any], dockerfile: str) -> None:
    """The entry point is `freshet`, so a command begins with one of its verbs."""
    assert 'ENTRYPOINT ["freshet"]' in dockerfile
    commands = [
        service["command"]
        for service in compose["services"].values()
        if service["image"].startswith("freshet")
    ]
    assert (
        {command.split()[0] for command in commands} == {"worker", "serve", "train"} <= set(VERBS)
    )


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    """Nothing is open to the network unless someone opens it."""
    ports = [port for each in compose["services"].values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_mounts_and_volumes_exist(root: Path, compose: dict[str, Any]) -> None:
    """A mistyped folder would be an empty one."""
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-(.*)\}", r"\1", mount).split(":")[0]
            if source.startswith("."):
                assert (root / "docker" / source).exists(), mount
            else:
                assert source in compose["volumes"], mount


def test_the_image_holds_the_packages_and_no_torch(root: Path, dockerfile: str) -> None:
    """What is copied exists and is not ignored; training is a build argument."""
    copied = set(re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE))
    sources = {name for line in copied for name in line.split()}
    ignored = (root / "docker/Dockerfile.dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert sources == kept
    assert all((root / name).exists() for name in sources)
    assert 'ARG EXTRAS=""' in dockerfile
    assert "HNSWLIB_NO_NATIVE=1" in dockerfile
    assert "USER freshet" in dockerfile


def test_the_image_switches_telemetry_off(dockerfile: str) -> None:
    """Also for what is run in it without our command line."""
    for name, value in TELEMETRY_OFF.items():
        assert f"{name}={value}" in dockerfile


def test_prometheus_scrapes_what_compose_runs(root: Path, compose: dict[str, Any]) -> None:
    """Service names and ports agree."""
    config = yaml.safe_load((root / "docker/prometheus/prometheus.yml").read_text())
    defaults = {name: default for name, default, _ in describe_settings()}
    worker = compose["services"]["worker"]["environment"]["FRESHET_WORKER_METRICS_PORT"]
    ports = {"worker": int(worker), "serve": defaults["http_port"]}
    targets = [each["dns_sd_configs"][0] for each in config["scrape_configs"]]
    assert {target["names"][0]: target["port"] for target in targets} == ports
    for name in config["rule_files"]:
        assert (root / "docker/prometheus" / name).exists()


def test_grafana_finds_its_source_and_its_dashboard(root: Path, compose: dict[str, Any]) -> None:
    """The panels ask the provisioned data source, which is a service of compose."""
    folder = root / "docker/grafana"
    sources = yaml.safe_load((folder / "provisioning/datasources/prometheus.yml").read_text())
    (source,) = sources["datasources"]
    assert source["url"].split("//")[1].split(":")[0] in compose["services"]
    board = json.loads((folder / "dashboards/freshet.json").read_text())
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == source["uid"], panel["title"]
    home = compose["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    assert (folder / "dashboards" / Path(home).name).exists()
