"""Recorded logs: JSON lines, plain or gzip, of our own shape or of common others, as events.

Law: the same file gives the same events with the same ids and the same judgement, whichever command
reads it. Event time is kept as recorded. A row that cannot be read is counted with its line number
and reason, never dropped in silence; a file of which nothing can be read is an error that says what
the file looks like. Kafka, Redis and models are not known here.

Shapes beside our own (`Event`, as on Kafka):

- `ts` stands for `ts_ms`; a missing `event_id` is made of the file's name, the row and its place.
- An `impression` with a `click` column is an impression, and a click of its own when that is 1.
  Such logs repeat rows, so an exact adjacent copy is dropped.
- A `purchase` with `quantity` and `price` has their product as `value`.
- A `campaign` column means that item ids are local to the campaign.
- Every other column goes into `context` (of an item: into `attributes`).
"""

from freshet.core.events.recorded.log import RecordedLog, open_log
from freshet.core.events.recorded.names import distinct_names, items_file_of, log_name
from freshet.core.events.recorded.part import Part
from freshet.core.events.recorded.read import read_events, read_items, read_rows
from freshet.core.events.recorded.report import ReadReport

__all__ = [
    "Part",
    "ReadReport",
    "RecordedLog",
    "distinct_names",
    "items_file_of",
    "log_name",
    "open_log",
    "read_events",
    "read_items",
    "read_rows",
]
