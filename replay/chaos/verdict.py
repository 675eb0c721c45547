"""The audit of a chaos run: the logs, the dead letters and the state, against the truth.

There are two truths. One is simple and knows the events alone (`log_truth`). The other folds the
logs again with the product's own code (`audit.refold`): it sees all of the state, but a bug that
strikes every time is in both. Dead letters are promised at least once, so they are counted by the
record that they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from freshet.core.events.dead_letter_log import DeadLetterLog
from freshet.core.events.topics import Topics
from freshet.core.progress import FOLDS, FoldProgress, ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.past import page_fields
from freshet.core.state.reader import StateReader
from freshet.core.state.records import unpack_covisits
from replay.audit import Audit
from replay.chaos.audit.examples import wrong_examples, wrong_outcomes, wrong_responses
from replay.chaos.audit.logs import Logs, TopicRecords, read_logs
from replay.chaos.audit.refold import Refolded, differences
from replay.chaos.log_truth import LogTruth, Reasons, read_log
from replay.chaos.people_truth import wrong_additions, wrong_transitions, wrong_unwanted
from replay.chaos.sequences import wrong_sequences
from replay.chaos.vectors import live_chaos_vectors

ELSEWHERE = -1  # in place of a partition or an offset: no record of the events
MOST_NAMED: Final = 5  # of what is wrong in a finding
CATALOGUE: Final = "catalogue"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that was compared.

    Attributes:
        name: a word for it.
        compared: how many there should be.
        wrong: how many differ.
        worst: some of them.
    """

    name: str
    compared: int
    wrong: int
    worst: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the audit found.

    Attributes:
        users: counts of each person and type.
        items: counts of each item and type.
        findings: everything else that was compared.
        lag: records that are in a log and not in the state.
        dead_letters: records that the dead letters name.
        copies: records that came twice.
    """

    users: Audit
    items: Audit
    findings: Sequence[Finding]
    lag: int
    dead_letters: int
    copies: int

    @property
    def is_exact(self) -> bool:
        """Whether everything was counted exactly once."""
        wrong = self.users.wrong + self.items.wrong + sum(each.wrong for each in self.findings)
        return not wrong + self.lag

    @property
    def offered(self) -> int:
        """Return how many items the log of the catalogue offers."""
        return sum(each.compared for each in self.findings if each.name == CATALOGUE)

    def wrong(self, name: str) -> int:
        """Return how much of a finding is wrong."""
        return sum(each.wrong for each in self.findings if each.name == name)


def wrong_letters(poison: Reasons, letters: Reasons) -> int:
    """Return how many dead letters are missing, superfluous, or of another reason.

    >>> wrong_letters({(0, 7): "empty"}, {(0, 7): "empty"}), wrong_letters({(0, 7): "empty"}, {})
    (0, 1)
    """
    return sum(poison.get(origin) != letters.get(origin) for origin in {*poison, *letters})


def wrong_totals(progress: FoldProgress, truth: LogTruth) -> int:
    """Return how many totals of the user fold's positions disagree with the log."""
    expected = {
        "next": truth.ends,
        "applied": truth.events,
        "duplicates": truth.copies,
        "erased": truth.forgotten,
        "erasures": truth.erasures,
        "rejected": truth.poisoned,
        **truth.held_back,
    }
    return sum(int((progress.total(name) != total).sum()) for name, total in expected.items())


def wrong_erasures(state: StateReader, truth: LogTruth) -> list[str]:
    """Return the users of whom something is there though they were erased, or not remembered.

    Somebody who came back after an erasure is a user like any other.
    """
    pages, unwanted = state.pages(), state.unwanted()
    wrong = []
    for user_id, until_ms in truth.erased_ms.items():
        fields = page_fields(user_id) if user_id not in truth.acting else ()
        left = user_id not in truth.acting and (state.user(user_id) or user_id in unwanted)
        if left or any(field in pages for field in fields) or state.erased(user_id) != until_ms:
            wrong.append(user_id)
    return sorted(wrong)


def wrong_entries(state: StateReader, catalog: TopicRecords) -> tuple[int, list[str]]:
    """Return how many items the log offers, and those of which the state has something else."""
    last: dict[bytes, bytes | None] = {}
    for records in catalog.records:
        last |= {record.key or b"": record.value for record in records}
    offered = {item: value for item, value in last.items() if value is not None}
    found = dict(state.entries()["catalog"])
    differing = {item for item in {*offered, *found} if offered.get(item) != found.get(item)}
    return len(offered), sorted(item.decode() for item in differing)


def examine(settings: Settings, partitions: int, sent: int) -> tuple[Verdict, LogTruth]:
    """Audit an installation to which nothing is sent any more.

    Args:
        settings: of the workers.
        partitions: of the topics.
        sent: events that the traffic made, each with a number of its own.

    Raises:
        ServiceError: a service does not answer, or a log has dropped records.
    """
    logs = read_logs(settings, partitions)
    truth = read_log(logs.events, settings)
    letters = read_letters(settings, partitions)
    with ProgressReader(settings, partitions) as reader:
        progress = {fold: reader.read(fold) for fold in FOLDS}
    with connect(settings) as client:
        state = StateReader(client, settings.namespace, partitions)
        users, items = truth.users.audit(*state.users()), truth.items.audit(*state.items())
        findings = [
            Finding("log", sent, abs(sent - len(truth.sent))),
            *_simple(state, truth, logs),
            *_refolded(state, logs, truth, settings, partitions),
        ]
    n_totals = partitions * len(progress["users"].fields[0])
    findings += [
        Finding("positions", n_totals, wrong_totals(progress["users"], truth)),
        Finding("dead_letters", len(truth.poison), wrong_letters(truth.poison, letters)),
    ]
    lag = sum(int(each.lag.sum()) for each in progress.values())
    copies = int(truth.copies.sum() + truth.forgotten.sum())
    return Verdict(users, items, findings, lag, len(letters), copies), truth


def read_letters(settings: Settings, partitions: int) -> Reasons:
    """Return the reason of every record of the events that the dead letters name.

    A record that was refused for two reasons has both, which no truth agrees with; nor does one
    with what is no letter at all.

    Raises:
        ServiceError: Kafka does not answer.
    """
    events = Topics(settings.namespace).events
    letters: dict[tuple[int, int], str] = {}
    with DeadLetterLog(settings, partitions) as log:
        for letter in log.letters():
            if letter.replayed:  # a receipt: its letter came before it
                continue
            topic, partition, offset = letter.origin
            origin = (partition if topic == events else ELSEWHERE, offset)
            before = letters.setdefault(origin, letter.reason)
            if before != letter.reason:
                letters[origin] = f"{before}, {letter.reason}"
        if log.strange:
            letters[ELSEWHERE, ELSEWHERE] = "no letter"
    return letters


def _simple(state: StateReader, truth: LogTruth, logs: Logs) -> list[Finding]:
    """Compare with what the events alone say."""
    people = truth.people
    covisits = {int(name): unpack_covisits(rows) for name, rows in state.entries()["covisits"]}
    n_followed = sum(rows.total() for rows in people.followed.values())
    n_entries, entries = wrong_entries(state, logs.catalog)
    rejecting = sum(bool(user.unwanted) for user in people.users.values())
    return [
        Finding("sequences", len(people.users), wrong_sequences(state, people.users)),
        Finding("unwanted", rejecting, wrong_unwanted(state.unwanted(), people.users)),
        Finding("added", len(people.added), wrong_additions(*state.items(), people.added)),
        _named("transitions", n_followed, wrong_transitions(covisits, people.followed)),
        _named("erasures", len(truth.erased_ms), wrong_erasures(state, truth)),
        _named(CATALOGUE, n_entries, entries),
    ]


def _refolded(
    state: StateReader, logs: Logs, truth: LogTruth, settings: Settings, partitions: int
) -> list[Finding]:
    """Compare with what the logs come to when they are folded again."""
    again = Refolded(logs, settings, partitions, live_chaos_vectors())
    topics = Topics(settings.namespace)
    examples = again.produced[topics.examples]
    outcomes = again.produced[topics.slates]
    responses = wrong_responses(
        logs.slates, logs.examples, truth.responses, truth.newest_ms.tolist(), truth.erased_ms,
        settings.join_window_s,
    )  # fmt: skip
    return [
        _named("state", *differences(state, again.state)),
        _named("examples", len(examples), wrong_examples(logs.examples, examples)),
        _named("outcomes", len(outcomes), wrong_outcomes(logs.slates, outcomes)),
        _named("responses", len(truth.responses), responses),
    ]


def _named(name: str, compared: int, wrong: Sequence[str]) -> Finding:
    return Finding(name, compared, len(wrong), wrong[:MOST_NAMED])
