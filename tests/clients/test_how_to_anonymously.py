"""How to call us anonymously, as docs/how-to tells strangers: every snippet is run against a seeded server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from markdown_snippets import HOW_TO, run_page, snippets_of
from running_appview import REPOSITORY, SETTINGS, Clock
from seeds import Seeds
from served_appview import served, something_of_everything

from appview.app import create_app, pool_opener
from atprotocol.lexicon.catalog import Catalog
from atprotocol.syntax.did import DID

LABELER = DID("did:plc:llllllllllllllllllllllll")
# The pages with snippets, and the tests that run them.
RUN_BY = {
    "call-it-from-your-app.md": "tests/clients/test_how_to_anonymously.py",
    "call-it-for-a-user.md": "tests/end_to_end/test_how_to_for_users.py",
    "publish-a-track.md": "tests/end_to_end/test_how_to_for_users.py",
}


@pytest.fixture
async def appview_url(database_url: str) -> AsyncIterator[str]:
    connection = await asyncpg.connect(database_url)
    seeds = Seeds(connection)
    everything = await something_of_everything(seeds)
    await seeds.track(everything.artist, tags=["folk", "morning"])
    await seeds.label(LABELER, everything.playable.uri, "!warn")
    await connection.close()
    settings = replace(SETTINGS, labelers=(LABELER,))
    catalog = Catalog.load(REPOSITORY / "lexicons")
    async with served(
        create_app(settings, catalog, open_pool=pool_opener(database_url, settings), clock=Clock())
    ) as url:
        yield url


async def test_calling_from_an_app(appview_url: str, tmp_path: Path) -> None:
    await run_page(HOW_TO / "call-it-from-your-app.md", tmp_path, {"PLYR": appview_url, "LABELER": LABELER})


def test_every_page_with_snippets_is_run() -> None:
    with_snippets = {page.name for page in HOW_TO.glob("*.md") if snippets_of(page)}
    assert with_snippets == set(RUN_BY)
    for page, test in RUN_BY.items():
        assert page in (REPOSITORY / test).read_text(), f"{test} runs {page}"


@pytest.mark.parametrize(
    ("snippet", "complaint"),
    [
        ("```sh\necho one two\n```\n\n```text\none three\n```\n", "does not print 'one three'"),
        ("```python\nprint('one')\nprint('two')\n```\n```text\ntwo\none\n```\n", "does not print 'one'"),
        ("```js\nconsole.log('said')\n```\n", "prints what the page does not tell: said"),
        ("```sh\nfalse\n```\n", "sh failed"),
        ("```python\nprint(nothing)\n```\n```text\n…\n```\n", "nothing' is not defined"),
    ],
)
async def test_a_page_that_is_wrong_fails(tmp_path: Path, snippet: str, complaint: str) -> None:
    """Else the tests of pages would prove nothing."""
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{snippet}")
    with pytest.raises(AssertionError, match=complaint):
        await run_page(page, tmp_path, {})


async def test_later_snippets_use_what_earlier_ones_made(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nNAME=world\n```\n```js\nconst one = 1\n```\n```sh\necho hello $NAME\n```\n```text\nhel… world\n```\n"
    )
    await run_page(page, tmp_path, {})
