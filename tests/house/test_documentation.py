"""Documentation that would be wrong without a test: pages that must exist, links, commands and numbers."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.house.repository import ROOT, entry_points, name_of

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in anchors(there), f"{link}: no such heading"


@pytest.mark.parametrize("kind", ["sources", "notifiers"])
def test_each_source_and_notifier_has_a_page(kind: str) -> None:
    for name in entry_points(f"evaluator.{kind}"):
        page = ROOT / "docs" / kind / f"{name}.md"
        assert page.exists(), f"{name_of(page)} is missing"
        assert f'type = "{name}"' in page.read_text() or f"`{name}`" in page.read_text()


def test_the_commands_of_the_documents_are_targets() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z]+)", listed, re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "operations.md"):
        named = re.findall(r"(?:^|`)make ([a-z]+)\b", page.read_text(), re.MULTILINE)
        assert set(named) <= targets, name_of(page)
    assert {"run", "test", "install"} <= targets


def test_the_readme_opens_with_what_it_is_a_picture_and_two_commands() -> None:
    opening = (ROOT / "README.md").read_text().split("## A rule")[0]
    assert opening.index("One small daemon") < opening.index("](docs/images/") < opening.index("make run")
    assert opening.index("make run") < opening.index("make test")


def test_the_changelog_has_room_for_what_is_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Fixed",
        "Removed",
        "Security",
    }
