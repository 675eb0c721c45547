"""Every Redis key of Freshet: its name, type, lifetime, bound and hash tag.

Law: what one batch changes lies under one hash tag, `{u<p>}` for partition p of the users and
`{i<p>}` for partition p of the items, so that state and position are written by one atomic script,
also on Redis Cluster. No command enumerates keys: what must be enumerated is a HASH.

| key                        | type   | lifetime   | bound                      | holds |
|----------------------------|--------|------------|----------------------------|-------|
| ns:{u<p>}:position         | HASH   | for ever   | 16 fields                  | next offset of `events`, totals, watermark, last heartbeat |
| ns:{u<p>}:users            | HASH   | `user_ttl` each | one field per user, 468 B each | packed user records; the field is the user id |
| ns:{u<p>}:past             | HASH   | as the user | `PAST_PAGES` fields per user, 200 B each, none below 51 interactions | items of the interactions before the history; the field is the page and the user id |
| ns:{u<p>}:unwanted         | HASH   | as the user | one field per user who rejected something, 9 B for each of at most `UNWANTED_CAPACITY` items | what the user does not want to be offered; the field is the user id |
| ns:{u<p>}:erased           | HASH   | for ever   | one field per person ever erased, 45 B each | up to when events stay forgotten, ms; the field is a hash of the user id |
| ns:{u<p>}:event-ids        | HASH   | 10 minutes and more | 2^20 ids each of impressions and of other events, 11 B each | ids of the events accepted last, in blocks; see `streams/deduplication.py` |
| ns:{u<p>}:changes          | STREAM | `CHANGES_KEPT_S` each | `CHANGES_KEPT` entries | ids of the users a batch changed, and of those it erased |
| ns:{u<p>}:outbox           | HASH   | until Kafka has it | 4 batches, some 35 B for each event and 27 B for each transition it ends | what batches tell the other folds; the field is the next offset behind the batch |
| ns:{u<p>}:slates           | HASH   | join window each | `join_slates` fields, 3 kB each | answers that wait for their outcome; the field is the request id |
| ns:{u<p>}:outcomes         | HASH   | join window each | 2 x `join_slates` fields, 25 B for each event | what people did with answers that wait; the field is the request id |
| ns:{u<p>}:slate-position   | HASH   | for ever   | 12 fields                  | next offset of `slates`, totals, watermark, next offset of the events that were told |
| ns:{i<p>}:position         | HASH   | for ever   | 8 + one per source         | next offsets of `item-deltas`, of its sources |
| ns:{i<p>}:items            | HASH   | for ever   | one field per item acted on | packed item records |
| ns:{i<p>}:covisits         | HASH   | for ever   | one field per item, `COVISIT_CAPACITY` rows each | packed transitions; the field is the item's hash in decimal |
| ns:{i<p>}:catalog          | HASH   | for ever   | one field per item offered | catalogue entries, JSON |
| ns:{i<p>}:catalog-position | HASH   | for ever   | 8 fields                   | next offset of `catalog` |
| ns:{i<p>}:changes          | STREAM | `CHANGES_KEPT_S` each | `CHANGES_KEPT` entries | ids of the items a batch changed |
| ns:meta                    | HASH   | for ever   | 8 fields                   | layout version, partitions |
"""

from __future__ import annotations

from dataclasses import dataclass

CHANGES_KEPT = 1000
CHANGES_KEPT_S = 600
"""An entry of a changes stream is dropped after so long, or it would name erased people for ever."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the Redis keys of one namespace."""

    namespace: str

    @property
    def meta(self) -> str:
        """What all processes of the installation must agree on."""
        return f"{self.namespace}:meta"

    def user_position(self, partition: int) -> str:
        """Position of the user fold."""
        return f"{self.namespace}:{{u{partition}}}:position"

    def users(self, partition: int) -> str:
        """Records of all users of the partition."""
        return f"{self.namespace}:{{u{partition}}}:users"

    def past(self, partition: int) -> str:
        """Interactions of the users of the partition from before their histories."""
        return f"{self.namespace}:{{u{partition}}}:past"

    def unwanted(self, partition: int) -> str:
        """Items that users of the partition rejected."""
        return f"{self.namespace}:{{u{partition}}}:unwanted"

    def erased(self, partition: int) -> str:
        """People of the partition who were erased."""
        return f"{self.namespace}:{{u{partition}}}:erased"

    def event_ids(self, partition: int) -> str:
        """Ids of the events of the partition that were accepted last."""
        return f"{self.namespace}:{{u{partition}}}:event-ids"

    def user_changes(self, partition: int) -> str:
        """Users that changed, batch by batch."""
        return f"{self.namespace}:{{u{partition}}}:changes"

    def outbox(self, partition: int) -> str:
        """What batches of the partition tell others, until Kafka has it."""
        return f"{self.namespace}:{{u{partition}}}:outbox"

    def slates(self, partition: int) -> str:
        """Answers of the partition that wait for their outcome."""
        return f"{self.namespace}:{{u{partition}}}:slates"

    def outcomes(self, partition: int) -> str:
        """What people of the partition did with answers that wait."""
        return f"{self.namespace}:{{u{partition}}}:outcomes"

    def slate_position(self, partition: int) -> str:
        """Position of the joiner."""
        return f"{self.namespace}:{{u{partition}}}:slate-position"

    def item_position(self, partition: int) -> str:
        """Position of the item fold and of each of its sources."""
        return f"{self.namespace}:{{i{partition}}}:position"

    def items(self, partition: int) -> str:
        """Records of all items of the partition."""
        return f"{self.namespace}:{{i{partition}}}:items"

    def covisits(self, partition: int) -> str:
        """Transitions out of each item of the partition; the field is the item's hash."""
        return f"{self.namespace}:{{i{partition}}}:covisits"

    def catalog(self, partition: int) -> str:
        """Catalogue entries of the partition."""
        return f"{self.namespace}:{{i{partition}}}:catalog"

    def catalog_position(self, partition: int) -> str:
        """Position of the catalogue fold."""
        return f"{self.namespace}:{{i{partition}}}:catalog-position"

    def item_changes(self, partition: int) -> str:
        """Items that changed, batch by batch."""
        return f"{self.namespace}:{{i{partition}}}:changes"
