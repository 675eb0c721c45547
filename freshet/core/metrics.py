"""Every metric of Freshet, defined once: `freshet_<noun>_<unit>[_total]`, base units.

Labels are bounded words, never a user, an item or an offset. Latency histograms carry their SLO
as an exact bucket.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
FRESHNESS_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
SIZE_BUCKETS = (1, 10, 50, 100, 200, 500, 1000, 2000, 5000)

# --- streams ---
EVENTS_APPLIED = Counter("freshet_events_applied_total", "Events folded into state.", ["fold"])
EVENTS_DUPLICATE = Counter(
    "freshet_events_duplicate_total", "Events that had been counted before.", ["kind"]
)
EVENTS_REJECTED = Counter(
    "freshet_events_rejected_total", "Records sent to the dead-letter topic.", ["reason"]
)
DEAD_LETTERS_PENDING = Gauge(
    "freshet_dead_letters_pending_letters",
    "Dead letters that were neither sent again nor dismissed, of all partitions.",
    ["reason"],
)
EVENTS_LOST = Counter(
    "freshet_events_lost_total", "Records that the log dropped before they were applied.", ["fold"]
)
EVENTS_CLAMPED = Counter(
    "freshet_events_clamped_total",
    "Events whose clock was far ahead of the log; they got the log's time.",
)
EVENTS_LATE = Counter(
    "freshet_events_late_total", "Events applied long behind the newest of their partition."
)
EVENTS_OUT_OF_ORDER = Counter(
    "freshet_events_out_of_order_total", "Events applied after a newer one of the same person."
)
ERASURES = Counter("freshet_erasures_total", "People erased.")
EVENTS_ERASED = Counter(
    "freshet_events_erased_total", "Events dropped because their person had been erased since."
)
EVENTS_HELD_BACK = Counter(
    "freshet_events_held_back_total",
    "Events and transitions that added nothing to an item, because the same user had added it "
    "within the window.",
    ["kind"],
)
SLATES_JOINED = Counter(
    "freshet_slates_joined_total", "Answers whose wait for an outcome ended, by how.", ["result"]
)
OUTCOMES_JOINED = Counter(
    "freshet_outcomes_joined_total", "Events that name the answer they respond to.", ["result"]
)
EVENT_FRESHNESS = Histogram(
    "freshet_event_freshness_seconds",
    "From the log taking an event to its state being readable.",
    ["fold"],
    buckets=FRESHNESS_BUCKETS_S,
)
BATCH_EVENTS = Histogram(
    "freshet_batch_events", "Events that one script applied.", ["fold"], buckets=SIZE_BUCKETS
)
APPLY_DURATION = Histogram(
    "freshet_apply_duration_seconds",
    "One call of the script that writes state and position.",
    ["fold"],
    buckets=LATENCY_BUCKETS_S,
)
PARTITION_POSITION = Gauge(
    "freshet_partition_position_offset", "Next offset, as Redis holds it.", ["fold", "partition"]
)
PARTITION_END = Gauge(
    "freshet_partition_end_offset", "Offset that the next record will get.", ["fold", "partition"]
)
CONSUMER_LAG = Gauge(
    "freshet_consumer_lag_records",
    "Records that are in the log and not in the state, of the partitions of this worker.",
    ["fold", "partition"],
)
PARTITION_WATERMARK = Gauge(
    "freshet_partition_watermark_timestamp_seconds",
    "Newest event time that was applied.",
    ["partition"],
)
HEARTBEAT_DELAY = Histogram(
    "freshet_heartbeat_delay_seconds",
    "From sending a heartbeat into the events to its being applied.",
    buckets=FRESHNESS_BUCKETS_S,
)
USERS_FORGOTTEN = Counter(
    "freshet_users_forgotten_total", "Users deleted because they were idle for their lifetime."
)
WORKER_RESTARTS = Counter(
    "freshet_worker_restarts_total", "Times that the supervisor started anew, by why.", ["reason"]
)

RECORDS_UNREADABLE = Counter(
    "freshet_records_unreadable_total",
    "Damaged records that were met in Redis and left out, by the last word of their key.",
    ["kind"],
)

# --- serving ---
HTTP_REQUESTS = Counter(
    "freshet_http_requests_total", "Requests answered.", ["route", "method", "code"]
)
HTTP_REQUEST_DURATION = Histogram(
    "freshet_http_request_duration_seconds",
    "From the request's first byte to the answer.",
    ["route"],
    buckets=LATENCY_BUCKETS_S,
)
RECOMMENDATIONS = Counter("freshet_recommendations_total", "Answers by quality.", ["quality"])
STAGE_DURATION = Histogram(
    "freshet_stage_duration_seconds", "Stages of the funnel.", ["stage"], buckets=LATENCY_BUCKETS_S
)
STAGE_FAILURES = Counter(
    "freshet_stage_failures_total", "Stages that failed or ran out of time.", ["stage", "reason"]
)
CANDIDATES = Counter("freshet_candidates_total", "Candidates found, by source.", ["source"])
SOURCE_HIT_RATE = Gauge(
    "freshet_source_hit_rate",
    "Share of the visits after a request that a source, an order of the candidates or a blend of "
    "them would have listed.",
    ["source"],
)
FALLBACK_BLEND = Gauge(
    "freshet_fallback_blend_info", "The blend in use where no ranker orders a list.", ["blend"]
)
FALLBACK_VISITS = Counter(
    "freshet_fallback_visits_total", "Visits after a request that the blend was learned from."
)
SLOTS_SERVED = Counter("freshet_slots_served_total", "Slots filled, by source.", ["source"])
EVENTS_ACCEPTED = Counter("freshet_events_accepted_total", "Events taken over HTTP.", ["result"])
MODEL_INFO = Gauge("freshet_model_info", "The bundle in use.", ["version"])
MODEL_SWAPS = Counter("freshet_model_swaps_total", "Bundles tried.", ["result"])
STATE_STANDSTILL = Gauge(
    "freshet_state_standstill_seconds",
    "How long a partition has stood still although records wait in its log, as the server sees it.",
)
ITEMS_KNOWN = Gauge("freshet_items_known_items", "Items by what is known of them.", ["kind"])
SESSIONS_KNOWN = Gauge(
    "freshet_sessions_known_sessions", "Sessions of users that the source `neighbours` compares."
)
USERS_UNREAD = Counter(
    "freshet_users_unread_total",
    "Changes of users that were not read into sessions, because too many changed at once.",
)
RECORDS_LOGGED = Counter(
    "freshet_records_logged_total", "Slates and impressions that serving logs.", ["result"]
)
FEED_CONNECTIONS = Gauge("freshet_feed_connections", "Open WebSocket feeds.")
FEED_PUSHES = Counter("freshet_feed_pushes_total", "Lists pushed to WebSocket feeds.", ["result"])
FEEDS_WAITING = Gauge(
    "freshet_feeds_waiting", "Feeds whose user changed and that were not looked at yet."
)
FEED_RETRIES = Counter(
    "freshet_feed_retries_total",
    "Tries to complete the list of a feed from which something was missing.",
)
FOLLOWER_RELOADS = Counter(
    "freshet_follower_reloads_total", "Times item state was loaded whole.", ["reason"]
)
