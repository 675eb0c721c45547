"""What aiokafka has no option for, set for all its consumers in this process.

Each hook replaces a class that the library looks up in one of its own modules.
"""

from __future__ import annotations

from typing import Any

import aiokafka.client
from aiokafka.consumer import fetcher
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from streams.fetched_records import PartitionColumns


class NamingRequest(MetadataRequest):
    """Asks for topics and lets the brokers create none of them."""

    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


class EndsRequest(OffsetRequest):
    """Asks for the end of what was written, also by transactions that are still open.

    A position is compared with it: one that is behind the last stable offset may be right, where a
    worker of a former version read what was not committed.
    """

    def __init__(self, replica: int, _isolation_level: int, topics: Any) -> None:
        super().__init__(replica, fetcher.READ_UNCOMMITTED, topics)


def hook_aiokafka() -> None:
    """Make the consumers of this process return `FetchedRecords`, and create no topics."""
    fetcher.PartitionRecords = PartitionColumns
    fetcher.OffsetRequest = EndsRequest
    aiokafka.client.MetadataRequest = NamingRequest
