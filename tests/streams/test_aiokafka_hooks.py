"""What the hooks ask the brokers for."""

from __future__ import annotations

import aiokafka.client
import pytest
from aiokafka.consumer import fetcher
from aiokafka.protocol.metadata import MetadataRequest_v1, MetadataRequest_v4, MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest_v1, OffsetRequest_v2

from streams.aiokafka_hooks import EndsRequest, NamingRequest, hook_aiokafka
from streams.fetched_records import PartitionColumns


@pytest.mark.parametrize("version", [MetadataRequest_v4, MetadataRequest_v5])
def test_naming_a_topic_creates_none(version: type) -> None:
    """In every version of the protocol that has the choice."""
    assert NamingRequest(["t"]).build(version).allow_auto_topic_creation is False
    assert NamingRequest(["t"]).build(MetadataRequest_v1).topics == ["t"]


def test_the_end_of_a_log_is_that_of_what_was_written() -> None:
    """Whatever the consumer reads."""
    request = EndsRequest(-1, fetcher.READ_COMMITTED, [("t", [(0, -1)])])
    assert request.build(OffsetRequest_v2).isolation_level == fetcher.READ_UNCOMMITTED
    assert request.build(OffsetRequest_v1).topics == [("t", [(0, -1)])]


def test_the_library_has_what_is_hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that renames a class fails here, not in silence."""
    for module, name in (
        (fetcher, "PartitionRecords"),
        (fetcher, "OffsetRequest"),
        (aiokafka.client, "MetadataRequest"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    hook_aiokafka()
    assert fetcher.PartitionRecords is PartitionColumns
    assert fetcher.OffsetRequest is EndsRequest
    assert aiokafka.client.MetadataRequest is NamingRequest
