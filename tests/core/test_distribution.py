"""What people are advised to install is ours."""

import re
import tomllib
from pathlib import Path

import pytest

from freshet.core.distribution import DISTRIBUTION, install_advice

ROOT = Path(__file__).parents[2]
FOLDERS = ("freshet", "online_models", "replay", "serving", "streams", "benchmarks", "scripts",
           "docs", "docker")  # fmt: skip
PIP = re.compile(r"(?:pip|pip3|pipx|uv pip|uv tool|poetry|npm) (?:install|add|i) +([^\n`]*)")


def _strangers(text: str) -> list[str]:
    """Return the advice in a text that would fetch a package of our name from a registry."""
    asked = (match[1] for match in PIP.finditer(text))
    return [each for each in asked if re.search(r"(?<![\w./-])freshet\b(?!-recommender)", each)]


def _pages() -> list[Path]:
    found = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()]
    pages = [*found, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    return [path for path in pages if path.suffix not in {".pyc", ".nbc", ".nbi"}]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("pip install 'freshet[train,eval]'", 1),
        ("`pip install freshet[train]` to train here", 1),
        ("npm i freshet", 1),
        ("pip install -e '.[train]'", 0),
        (f"pip install {DISTRIBUTION}", 0),
        ("/opt/freshet/bin/pip install --constraint constraints.txt .", 0),
        ("", 0),
    ],
)
def test_advice_for_a_strangers_package_is_found(text: str, wrong: int) -> None:
    """So that the next test cannot pass for want of eyes."""
    assert len(_strangers(text)) == wrong


def test_no_page_and_no_message_installs_a_strangers_package() -> None:
    """`freshet` in the registries is somebody else's."""
    pages = _pages()
    assert len(pages) > 200
    found = {str(path): _strangers(path.read_text(errors="ignore")) for path in pages}
    assert not {path: wrong for path, wrong in found.items() if wrong}


def test_the_distribution_has_a_name_of_its_own() -> None:
    """And keeps its command and its packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["name"] == DISTRIBUTION != "freshet"
    assert project["project"]["scripts"] == {"freshet": "freshet.commands.main:main"}
    extras = re.search(r"\.\[([\w,]+)\]", install_advice("train,eval"))
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])
