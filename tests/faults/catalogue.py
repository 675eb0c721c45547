"""The catalogue of faults: what may go wrong, by row, and which tests elsewhere hold a row down.

A test of this folder names its rows by `@pytest.mark.fault(14, promise="...")`. Where a test of
another folder already holds a promise, it is named here and run with the others.
"""

from __future__ import annotations

from dataclasses import dataclass

FAULTS = {
    1: "kill -9 of a worker in mid-batch",
    2: "kill -9 of all workers at once",
    3: "SIGTERM to a worker at work",
    4: "SIGTERM to a worker whose Redis hangs",
    5: "a frozen worker wakes when another has its partitions",
    6: "a bug in the fold",
    7: "kill -9 of a server",
    8: "kill -9 of the trainer during export",
    9: "kill -9 of whatever takes events",
    10: "the counters of items stand still",
    11: "the broker restarts",
    12: "no broker when the worker starts",
    13: "the broker is gone for ever",
    14: "kill -9 of Redis, and its return",
    15: "Redis comes back with an older state",
    16: "Redis loses everything",
    17: "Redis is slow",
    18: "Redis takes connections and does not answer",
    19: "Redis has no memory left",
    20: "Redis has no disk left",
    21: "no disk left for logs and models",
    22: "the network between worker and Redis is cut",
    23: "an empty value",
    24: "a null value",
    25: "text that is not UTF-8",
    26: "broken JSON",
    27: "JSON that is no object",
    28: "a missing field",
    29: "values of wrong type, NaN, too large",
    30: "JSON nested a hundred thousand deep",
    31: "an event of 900 KB, a list of thousands",
    32: "an unknown type",
    33: "an event of a later schema",
    34: "an absurd time",
    35: "a foreign key, a wrong partition",
    36: "batches in every compression",
    37: "hostile HTTP",
    38: "hours of work",
    39: "the same event again",
    40: "events out of order",
    41: "events a day late",
    42: "events from the future",
    43: "the server's clock jumps",
    44: "one user makes half of the events",
    45: "one item has all the events",
    46: "an item that nobody offers, or no longer",
    47: "a user whom nobody knows",
    48: "a slow WebSocket client",
    49: "hundreds of WebSocket clients come back at once",
    50: "a damaged model file",
    51: "an index made to crash its reader",
    52: "a model for other features",
    53: "a bad model, well packed",
    54: "models swapped under load",
    55: "the ranker fails or hangs",
    56: "no index at the start",
    57: "ten times the requests",
    58: "ten times the events",
    59: "workers join and leave all the time",
    60: "more workers than partitions",
    61: "a replay beside the live stream",
    62: "a replay into the live stream by mistake",
    63: "an erased user, and a replay",
    64: "the log drops what was not yet read",
    65: "a topic is created anew",
    66: "two versions of the worker at once",
    67: "no Prometheus, no Grafana",
    68: "secrets change",
}
"""What each row is called, in one line."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A promise that a test of another folder holds.

    Attributes:
        rows: of the catalogue.
        promise: what must hold.
        test: path and name, as pytest takes them; a parametrised test stands for all its cases.
    """

    rows: tuple[int, ...]
    promise: str
    test: str


ELSEWHERE = (
    Elsewhere(
        (8,),
        "a pointer to a model is read whole or not at all",
        "tests/online_models/artifacts/test_registry.py::test_a_half_written_pointer_is_never_read",
    ),
    Elsewhere(
        (9,),
        "without Kafka's answer an event is not promised",
        "tests/serving/http/test_events.py::test_without_kafka_nothing_is_promised",
    ),
    Elsewhere(
        (14, 18),
        "answers go on without Redis, say what they lack, and are whole when it is back",
        "tests/serving/test_server.py::test_answers_go_on_while_redis_is_away",
    ),
    Elsewhere(
        (23, 24, 25, 26, 27, 28, 29, 30, 32, 34),
        "each kind of bad record has its reason",
        "tests/core/events/test_codec.py::test_a_bad_record_is_named",
    ),
    Elsewhere(
        (25, 26, 29),
        "no bytes whatever stop the decoder",
        "tests/core/events/test_codec.py::test_no_bytes_break_the_decoder",
    ),
    Elsewhere(
        (23, 26, 35),
        "dead letters that could not be written are written by the next worker, before it reads on",
        "tests/streams/test_user_shell_outbox.py::test_what_a_worker_could_not_tell_the_next_one_tells",
    ),
    Elsewhere(
        (37,),
        "a body that is too large is refused",
        "tests/serving/http/test_problems.py::test_a_body_that_is_too_large_is_refused",
    ),
    Elsewhere(
        (40,),
        "the counters of an item do not depend on the order of its events",
        "tests/streams/test_item_fold.py::test_counters_do_not_depend_on_order_or_batches",
    ),
    Elsewhere(
        (46,),
        "an item that was withdrawn is in no list from then on",
        "tests/serving/test_pipeline.py::test_a_withdrawn_item_vanishes_at_once",
    ),
    Elsewhere(
        (63,),
        "gone after a flush and a full replay too; old events do not bring them back",
        "tests/end_to_end/test_erase.py::test_an_erased_person_is_gone_and_stays_so",
    ),
    Elsewhere(
        (55,),
        "a ranker that fails leaves the order of the sources",
        "tests/serving/test_pipeline.py::test_a_failing_ranker_leaves_the_order_of_the_sources",
    ),
    Elsewhere(
        (17, 55),
        "out of time, popular items still answer",
        "tests/serving/test_pipeline.py::test_out_of_time_the_popular_items_still_answer",
    ),
    Elsewhere(
        (56,),
        "without a model the sources order the list",
        "tests/serving/test_pipeline.py::test_without_a_bundle_the_sources_order_the_list",
    ),
    Elsewhere(
        (50,),
        "a flipped bit in a bundle is found before it serves",
        "tests/online_models/artifacts/test_check.py::test_a_flipped_bit_is_found",
    ),
    Elsewhere(
        (50,),
        "a truncated file of a bundle is found before it serves",
        "tests/online_models/artifacts/test_check.py::test_a_truncated_file_is_found",
    ),
    Elsewhere(
        (51,),
        "it ends the process that tries the bundle, not the one that serves",
        "tests/online_models/artifacts/test_check.py::"
        "test_a_corrupt_index_ends_the_child_and_not_us",
    ),
    Elsewhere(
        (52,),
        "vectors of another dimension are refused",
        "tests/online_models/artifacts/test_check.py::"
        "test_vectors_of_another_dimension_are_refused",
    ),
    Elsewhere(
        (54,),
        "no request fails while the model is swapped",
        "tests/serving/test_live_bundle.py::test_requests_run_through_a_swap_without_one_failure",
    ),
    Elsewhere(
        (21,),
        "a publication that is interrupted leaves the version in use whole",
        "tests/online_models/artifacts/test_registry.py::"
        "test_an_interrupted_publish_leaves_the_current_version_valid",
    ),
    Elsewhere(
        (48,),
        "a client that takes nothing is let go, with all that its feed holds",
        "tests/serving/http/test_socket_protocol.py::test_who_takes_nothing_is_let_go",
    ),
    Elsewhere(
        (48,),
        "what waits for a client is bounded, whatever it sends",
        "tests/serving/http/test_socket_protocol.py::test_pings_without_reading_fill_no_memory",
    ),
    Elsewhere(
        (53,),
        "a model whose predictions are not finite is refused before it serves",
        "tests/online_models/training/test_gate.py::test_what_is_not_finite_is_refused",
    ),
    Elsewhere(
        (53,),
        "a model that promises too much or too little is refused before it serves",
        "tests/online_models/training/test_gate.py::"
        "test_what_promises_too_much_or_too_little_is_refused",
    ),
    Elsewhere(
        (61,),
        "what happens in one namespace changes nothing in another",
        "tests/core/state/test_reader.py::test_namespaces_do_not_mix",
    ),
)
