"""The report is one sound page, which holds everyone and takes nothing for markup."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import pytest

from replay.evaluate.baselines.contestant import Playing
from replay.evaluate.check import Check
from replay.evaluate.click_figures import ClickFigures, ClickScores, Estimate
from replay.evaluate.figures import Figures, figures
from replay.evaluate.outcome import Outcome
from replay.evaluate.rejection_figures import Measured, RejectionFigures
from replay.evaluate.report import COLUMNS, Meta, Section, write_report

EVIL = "<script>alert('&')</script>"
VOID = {"meta", "link", "br", "hr", "img", "input"}
META = Meta("The judge", ["Requests come in the order of time."], {"seed": "0"})
LISTS = [[1, 0], [0, 1], [0, 1], [0, 2]]


class Page(HTMLParser):
    """Reads a page: its text, its tables, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.bold: list[str] = []
        self.text = ""
        self.scripts = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[key] or "" for key in ("src", "href") if key in values]
        self.ids += [values["id"] or ""] if "id" in values else []
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> in {self.open}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()
        if self.open and self.open[-1] == "strong":
            self.bold.append(data)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """`write(figures of logs, sections)` gives the page."""

    def written(logs: Sequence[Figures], sections: Sequence[Section] = ()) -> str:
        path = tmp_path / "report.html"
        write_report(path, logs, META, sections)
        return path.read_text(encoding="utf-8")

    return written


def test_the_page_is_sound_and_holds_everyone(tiny: Outcome, write: Callable[..., str]) -> None:
    """Elements are closed, ids are unique, nothing is fetched, all contestants have their row."""
    html = write([figures(tiny)])
    page = Page(html)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert all(address.startswith("#") for address in page.addresses)
    assert {address[1:] for address in page.addresses} <= set(page.ids)
    rows = {row[0]: row[1:] for row in page.rows if len(row) == len(COLUMNS) + 1}
    assert set(rows) == {"contestant", "product", "fixedbest baseline", "silentbaseline"}
    assert rows["product"][:4] == ["0.7500", "0.7500", "0.6250", "0.6577"]
    assert rows["fixedbest baseline"][7] == "\N{EN DASH}"  # no list of it has a pair
    assert page.bold == rows["product"][:4]
    assert "On tiny the gain over fixed may be chance" in page.text
    assert "Requests come in the order of time." in page.text
    assert html.count("plotly.js v") == 1


def test_the_gain_stands_with_its_interval(tiny: Outcome, write: Callable[..., str]) -> None:
    """Or with what stands for one that nobody knows; Holm's correction is over all logs."""
    found = figures(tiny)
    gain = next(row for row in Page(write([found])).rows if row[0] == "tiny")
    dash = "\N{EN DASH}"
    assert gain == ["tiny", "product", "0.7500", "fixed", "0.2500", "+0.5000", "+200.0", dash,
                    "1.000", "1.000"]  # fmt: skip


def test_clicks_on_what_was_shown_have_a_table(tiny: Outcome, write: Callable[..., str]) -> None:
    """With intervals where they are known; a log without impressions has none of it."""
    whole = Estimate(0.25, 0.2, 0.3)
    few = Estimate(0.5, None, None)
    gap = Estimate(-0.25, -0.5, 0.25)
    scores = [
        ClickScores("product", whole, None, few, None, whole, None, 0.125, few),
        ClickScores("rate", few, gap, whole, few, None, None, None, None),
    ]
    found = figures(tiny)
    assert "shown, tiny" not in write([found])
    page = Page(write([replace(found, clicks=ClickFigures(9, 8, 90, 3, 0.3, scores))]))
    assert page.open == []
    rows = [row for row in page.rows if len(row) == 8]
    dash, minus = "\N{EN DASH}", "\N{MINUS SIGN}"
    assert rows[1:] == [
        ["product", "0.5000", dash, "0.2500 (0.2000 to 0.3000)", dash, "0.2500 (0.2000 to 0.3000)",
         "0.1250", "0.500"],
        ["rate", "0.2500 (0.2000 to 0.3000)", "+0.5000", "0.5000",
         f"{minus}0.2500 ({minus}0.5000 to +0.2500)", dash, dash, dash],
    ]  # fmt: skip


def test_a_failed_check_is_above_all_and_leaves_no_gain(
    tiny: Outcome, write: Callable[..., str]
) -> None:
    """Of that log; the others keep theirs."""
    failed = figures(tiny, checks=[Check("creation dates", passed=False, found="3 of 9: a.")])
    page = Page(write([failed, replace(figures(tiny), name="other")]))
    assert page.open == []
    assert 0 < page.text.index("FAILED: 3 of 9: a.") < page.text.index("Gain over the best")
    assert "tiny: no gain is quoted, because leak checks failed (creation dates)" in page.text
    assert [row[0] for row in page.rows if len(row) == 10 and "product" in row[1]] == ["other"]


def test_what_never_played_is_marked(tiny: Outcome, write: Callable[..., str]) -> None:
    """And how often a model was trained stands beside it."""
    outcome = replace(tiny, playing={"fixed": Playing(0.0, 0), "silent": Playing(0.5, 3)})
    rows = {row[0]: row for row in Page(write([figures(outcome)])).rows}
    columns = [name for name, *_ in COLUMNS]
    assert rows["fixednever played"][1 + columns.index("trainings")] == "0"
    assert rows["silentbest baseline"][1 + columns.index("own_share")] == "0.500"


def test_rejections_have_their_tables(tiny: Outcome, write: Callable[..., str]) -> None:
    """Where there are some."""
    found = figures(tiny)
    assert "What people reject" not in write([found])
    share, gap = Estimate(0.25, 0.2, 0.3), Estimate(0.125, None, None)
    measured = [Measured("product", share, None), Measured("rate", share, gap)]
    rejections = RejectionFigures(1_234, measured, 5, [], 7, measured)
    page = Page(write([replace(found, rejections=rejections)]))
    assert page.open == []
    assert "1,234 rejections" in page.text
    assert [row[0] for row in page.rows if row[1:2] == ["rejected@20"]] == ["contestant"]
    assert page.rows.count(["rate", "0.2500 (0.2000 to 0.3000)", "+0.1250"]) == 2


def test_what_the_ranker_learned_from_is_told(tiny: Outcome, write: Callable[..., str]) -> None:
    """Where there is one."""
    found = figures(tiny)
    assert "the last training of the ranker" not in Page(write([found])).text
    told = Page(write([replace(found, facts={"ranker_exposures": 4321})])).text
    assert "Before the last training of the ranker, 4,321 requests" in told


def test_names_are_text(outcome_of: Callable[..., Outcome], write: Callable[..., str]) -> None:
    """Of logs and contestants, in tables, plots, remarks and sections."""
    plain, evil = (
        Page(
            write(
                [figures(outcome_of({"product": LISTS, name: [[1]] * 4}, [name]))],
                [Section(name, [name], go.Figure(go.Scatter(x=[1], y=[1], name=name)))],
            )
        )
        for name in ("fixed", EVIL)
    )
    assert evil.open == []
    assert evil.scripts == plain.scripts
    assert evil.text.count(EVIL) == plain.text.count("fixed")
    assert f"{EVIL}best baseline" in {row[0] for row in evil.rows}


def test_more_sections_follow_the_logs(tiny: Outcome, write: Callable[..., str]) -> None:
    """With their words and their plot, which stays as it was."""
    plot = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="a curious series"))
    before = plot.to_json()
    html = write([figures(tiny)], [Section("Freshness", ["Older is worse.", "So it is."], plot)])
    page = Page(html)
    assert page.text.index("tiny") < page.text.index("Older is worse.") < page.text.index("So it")
    assert "a curious series" in html
    assert plot.to_json() == before


@pytest.mark.parametrize(
    ("contestants", "baselines"), [(("product",), []), (("fixed",), ["fixed"])]
)
def test_nobody_to_compare_with(
    contestants: tuple[str, ...],
    baselines: list[str],
    outcome_of: Callable[..., Outcome],
    write: Callable[..., str],
) -> None:
    """A page all the same, which says so first."""
    lists = dict.fromkeys(contestants, LISTS)
    page = Page(write([figures(outcome_of(lists, baselines))]))
    assert page.open == []
    assert "Nothing can be compared." in page.text
    assert "On tiny nothing is compared" in page.text
