"""Documentation: complete, and true where a machine can tell."""

import json
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from click.testing import CliRunner

from freshet.commands.main import VERBS, cli
from freshet.core.events.schema import EVENT_TYPES, Event
from freshet.core.settings import ENV_PREFIX, NOT_SETTINGS, describe_settings
from serving.answer import Answer, Query
from serving.http.events import EventResults
from serving.http.openapi import OPERATIONS
from serving.http.problems import Problem


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    """README.md."""
    return (root / "README.md").read_text()


@pytest.fixture(scope="module")
def pages(root: Path) -> dict[str, str]:
    """Every page that a person reads."""
    paths = [*root.glob("*.md"), *root.glob("docs/*.md")]
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def test_the_reference_is_what_the_code_says(root: Path, reference: ModuleType) -> None:
    """Every setting, metric, topic, key, route and verb, word for word."""
    written = (root / "docs" / "reference.md").read_text()
    assert written == reference.reference(), "run `make docs`"


def test_every_setting_metric_and_key_has_a_meaning(reference: ModuleType) -> None:
    """No row of the reference is empty."""
    assert all(meaning for _, _, meaning in describe_settings())
    assert all(metric._documentation for metric in reference.exported_metrics().values())
    assert reference.keys_table().count("`ns:") == 18


def test_the_readme_names_every_verb(readme: str) -> None:
    """And only verbs that exist."""
    assert set(re.findall(r"^\| `freshet (\w+)` \|", readme, re.MULTILINE)) == set(VERBS)
    called = set(re.findall(r"(?:^|`)freshet (\w+)", readme, re.MULTILINE))
    assert called <= set(VERBS)


def test_the_readme_names_every_route(readme: str) -> None:
    """Method and path."""
    for operation in OPERATIONS:
        assert f"{operation.method.upper()} {operation.path}" in readme


def test_the_readme_names_every_event_type_and_field(readme: str) -> None:
    """The schema of an event, and what may be asked of a list."""
    for name in (*EVENT_TYPES, *Event.__struct_fields__, *Query.__struct_fields__):
        assert f"`{name}`" in readme, name


def test_every_variable_that_a_page_names_exists(pages: dict[str, str]) -> None:
    """FRESHET_<NAME> is a setting, or one of the few others."""
    known = {ENV_PREFIX + name.upper() for name, _, _ in describe_settings()}
    for page, text in pages.items():
        named = set(re.findall(r"FRESHET_[A-Z0-9_]*[A-Z0-9]", text))
        assert named <= known | NOT_SETTINGS, page


def test_every_make_target_that_a_page_names_exists(root: Path, pages: dict[str, str]) -> None:
    """`make ...` in a page can be typed."""
    targets = set(re.findall(r"^(\w+):", (root / "Makefile").read_text(), re.MULTILINE))
    for page, text in pages.items():
        assert set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE)) <= targets, page


def test_every_link_within_the_repository_leads_somewhere(
    root: Path, pages: dict[str, str]
) -> None:
    """Relative links and the anchors of the page itself."""
    for page, text in pages.items():
        anchors = {
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in anchors, f"{page}: {target}"
            elif "://" not in target:
                assert (root / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_every_json_of_the_readme_is_what_the_program_speaks(readme: str) -> None:
    """Examples decode as the very types of the wire."""
    blocks = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    kinds = {"results": EventResults, "event_id": Event, "items": Answer, "title": Problem}
    decoded = []
    for block in blocks:
        value = json.loads(block)
        kind = next((kind for key, kind in kinds.items() if key in value), None)
        if kind is not None and "log" not in value:
            decoded.append(msgspec.convert(value, kind))
    assert {type(each) for each in decoded} == set(kinds.values())


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_teaches(verb: str) -> None:
    """It has an example on a line of its own, and no mark-up that leaks."""
    shown = CliRunner().invoke(cli, [verb, "--help"])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"^ {2}(Examples?\b.*):?$", shown.output, re.MULTILINE)
    assert "\\b" not in shown.output


def test_the_changelog_has_a_place_for_what_comes(root: Path) -> None:
    """What is not released yet stands at the top."""
    titles = re.findall(r"^## (.+)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
