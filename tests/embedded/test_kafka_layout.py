"""Of what a local cluster consists, and what of it is kept."""

import socket
from pathlib import Path

import pytest

from freshet.core.errors import SettingError
from freshet.embedded.kafka_layout import (
    FIRST_PORT,
    HOST,
    LAST_PORT,
    ClusterLayout,
    Node,
    plan_layout,
)

THREE = ClusterLayout("id", tuple(Node(n, 20_000 + n, 30_000 + n) for n in (1, 2, 3)))


def _ports(layout: ClusterLayout) -> list[int]:
    return [port for node in layout.nodes for port in (node.port, node.controller_port)]


@pytest.mark.parametrize("brokers", [1, 3])
def test_a_new_cluster_has_ports_that_no_client_is_given(tmp_path: Path, brokers: int) -> None:
    """All different, below those of outgoing connections."""
    ports = _ports(plan_layout(tmp_path, brokers))
    assert len(set(ports)) == 2 * brokers
    assert all(FIRST_PORT <= port < LAST_PORT for port in ports)


def test_one_broker_is_enough_unless_more_are_asked_for(tmp_path: Path) -> None:
    """As `freshet up --kafka` does the first time."""
    assert len(plan_layout(tmp_path).nodes) == 1


def test_a_folder_keeps_its_cluster(tmp_path: Path) -> None:
    """Id, size and addresses, whether the size is named again or not."""
    layout = plan_layout(tmp_path / "new", 3)
    assert plan_layout(tmp_path / "new") == layout
    assert plan_layout(tmp_path / "new", 3) == layout


def test_another_size_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    """The sentence says what the folder holds."""
    layout = plan_layout(tmp_path, 1)
    with pytest.raises(SettingError, match="brokers is 3, expected 1, as many as the cluster"):
        plan_layout(tmp_path, 3)
    assert plan_layout(tmp_path) == layout


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    """That one alone."""
    before = plan_layout(tmp_path, 3)
    with socket.create_server((HOST, before.nodes[1].port)):
        after = plan_layout(tmp_path)
    changed = [a != b for a, b in zip(_ports(before), _ports(after), strict=True)]
    assert changed == [False, False, True, False, False, False]
    assert after.id == before.id


def test_three_brokers_keep_each_record_three_times() -> None:
    """Also what Kafka keeps for itself; two of them must have it before it is acknowledged."""
    properties = THREE.properties(2, Path("/data"))
    assert properties["node.id"] == "2"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:20002,CONTROLLER://127.0.0.1:30002"
    assert properties["controller.quorum.voters"].count("@") == 3
    factors = {value for name, value in properties.items() if name.endswith("replication.factor")}
    insync = {
        value for name, value in properties.items() if name.endswith(("isr", "insync.replicas"))
    }
    assert (factors, insync) == ({"3"}, {"2"})


def test_one_broker_keeps_each_record_once() -> None:
    """And waits for nobody."""
    properties = ClusterLayout("id", THREE.nodes[:1]).properties(1, Path("/data"))
    assert properties["default.replication.factor"] == properties["min.insync.replicas"] == "1"


def test_the_bootstrap_names_every_broker() -> None:
    """So that a client starts also when one is away."""
    assert THREE.bootstrap == "127.0.0.1:20001,127.0.0.1:20002,127.0.0.1:20003"
