"""Viewers: what the index knows of whoever proved itself, and what their answers say."""

from typing import Any

import pytest
from made_up_accounts import MadeUpAccount, MadeUpDirectory, key_of
from running_appview import SETTINGS, Appview, StartAppview
from seeds import NAMESPACE, NOW

from appview.api.methods import METHODS
from appview.service import Context
from appview.xrpc.call import Output
from appview.xrpc.rate_limit import Window
from appview.xrpc.signing_keys import no_directory
from atprotocol.syntax.did import DID

NAME = "index.getStats"
ASKED = f"{NAMESPACE}.{NAME}"
VIEWER = MadeUpAccount(DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), key_of(1), SETTINGS.did)
LABELER = DID("did:plc:llllllllllllllllllllllll")


def authorization(account: MadeUpAccount = VIEWER, name: str = NAME, **claims: Any) -> dict[str, str]:
    return account.authorization(f"{NAMESPACE}.{name}", NOW.timestamp(), **claims)


class Witness:
    """A method that keeps what it was told."""

    def __init__(self, method: Any = METHODS[NAME]) -> None:
        self.method = method
        self.contexts: list[Context] = []

    async def __call__(self, context: Context) -> Output:
        self.contexts.append(context)
        output: Output = await self.method(context)
        return output


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def directory() -> MadeUpDirectory:
    return MadeUpDirectory.of([VIEWER])


@pytest.fixture
async def appview(start_appview: StartAppview, witness: Witness, directory: MadeUpDirectory) -> Appview:
    return await start_appview({**METHODS, NAME: witness}, resolve_key=directory)


async def test_a_viewer_is_what_the_index_knows_of_it(appview: Appview, witness: Witness) -> None:
    account = await appview.seeds.account(VIEWER.did)
    response = await appview.client.get(NAME, headers=authorization())
    assert response.status_code == 200
    assert response.headers["atproto-repo-rev"] == "3mabcdefghijk"
    assert response.headers["cache-control"] == "private, no-store"
    viewer = witness.contexts[0].required_viewer()
    assert (viewer.did, viewer.actor_id, viewer.rev) == (VIEWER.did, account.actor_id, "3mabcdefghijk")


@pytest.mark.parametrize("audience", [SETTINGS.did, f"{SETTINGS.did}#plyr_appview"])
async def test_both_names_of_the_service_are_its_own(appview: Appview, audience: str) -> None:
    assert (await appview.client.get(NAME, headers=authorization(aud=audience))).status_code == 200
    refused = await appview.client.get(NAME, headers=authorization(aud=f"{SETTINGS.did}#atproto_pds"))
    assert (refused.status_code, refused.json()["error"]) == (401, "BadJwtAudience")


async def test_a_viewer_of_whom_nothing_is_indexed_is_a_viewer_too(appview: Appview, witness: Witness) -> None:
    response = await appview.client.get(NAME, headers=authorization())
    assert response.status_code == 200
    assert "atproto-repo-rev" not in response.headers
    # A subject of somebody's record has a number, and no repository.
    actor = await appview.seeds.actor(VIEWER.did)
    assert (await appview.client.get(NAME, headers=authorization())).status_code == 200
    assert [(each.viewer and each.viewer.actor_id, each.viewer and each.viewer.rev) for each in witness.contexts] == [
        (None, None),
        (actor.actor_id, None),
    ]


async def test_anonymous_calls_have_no_viewer_and_cost_no_statement_more(appview: Appview, witness: Witness) -> None:
    anonymous = await appview.statements_of(NAME, {})
    assert witness.contexts[0].viewer is None
    await appview.client.get(NAME, headers=authorization())
    appview.pool.statements.clear()
    assert (await appview.client.get(NAME, headers=authorization())).status_code == 200
    assert len(appview.pool.statements) == len(anonymous) + 1
    assert "plyr.takedowns" in appview.pool.statements[0], "the rev is read before anything else"


async def test_the_rev_is_older_than_the_answer(start_appview: StartAppview, directory: MadeUpDirectory) -> None:
    async def writes_meanwhile(context: Context) -> Output:
        await started.seeds.execute("UPDATE network.repos SET rev = '3mzzzzzzzzzzz'")
        return await METHODS[NAME](context)

    started = await start_appview({**METHODS, NAME: writes_meanwhile}, resolve_key=directory)
    await started.seeds.account(VIEWER.did)
    revs = [(await started.client.get(NAME, headers=authorization())).headers["atproto-repo-rev"] for _ in range(2)]
    assert revs == ["3mabcdefghijk", "3mzzzzzzzzzzz"]


async def test_an_error_says_the_rev_too(appview: Appview) -> None:
    account = await appview.seeds.account(VIEWER.did)
    headers = authorization(name="feed.getTrack")
    response = await appview.client.get("feed.getTrack", {"uri": f"at://{account.did}/fm.plyr.track/x"}, headers=headers)  # fmt: skip
    assert (response.status_code, response.json()["error"]) == (400, "TrackNotFound")
    assert response.headers["atproto-repo-rev"] == "3mabcdefghijk"


async def test_an_account_that_was_taken_down_here_is_told_so(appview: Appview, witness: Witness) -> None:
    await appview.seeds.account(VIEWER.did)
    await appview.seeds.take_down(VIEWER.did)
    response = await appview.client.get(NAME, headers=authorization())
    assert (response.status_code, response.json()["error"]) == (403, "AccountTakedown")
    assert "atproto-repo-rev" not in response.headers
    assert witness.contexts == []
    assert (await appview.client.get(NAME)).status_code == 200


async def test_the_index_s_key_is_enough(appview: Appview, directory: MadeUpDirectory) -> None:
    await appview.seeds.account(VIEWER.did)
    await appview.seeds.execute("UPDATE network.repos SET signing_key = $1", VIEWER.key.public_key.did_key)
    assert (await appview.client.get(NAME, headers=authorization())).status_code == 200
    assert directory.asked == []


async def test_the_key_of_an_account_that_is_gone_is_asked_for(appview: Appview, directory: MadeUpDirectory) -> None:
    await appview.seeds.account(VIEWER.did)
    await appview.seeds.execute("UPDATE network.repos SET signing_key = $1, deleted_at = now()", VIEWER.key.public_key.did_key)  # fmt: skip
    assert (await appview.client.get(NAME, headers=authorization())).status_code == 200
    assert directory.asked == [VIEWER.did]


async def test_without_a_directory_only_the_index_s_keys_are_known(start_appview: StartAppview) -> None:
    started = await start_appview(resolve_key=no_directory)
    response = await started.client.get(NAME, headers=authorization())
    assert (response.status_code, response.json()["error"]) == (502, "UpstreamFailure")


async def test_a_method_may_require_a_viewer(start_appview: StartAppview, directory: MadeUpDirectory) -> None:
    async def mine(context: Context) -> Output:
        context.required_viewer()
        return await METHODS[NAME](context)

    started = await start_appview({**METHODS, NAME: mine}, resolve_key=directory)
    refused = await started.client.get(NAME)
    assert (refused.status_code, refused.json()["error"]) == (401, "AuthenticationRequired")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["cache-control"] == "no-store"
    assert (await started.client.get(NAME, headers=authorization())).status_code == 200


async def test_nothing_is_said_of_labelers_where_none_is_followed(appview: Appview) -> None:
    assert "atproto-content-labelers" not in (await appview.client.get(NAME)).headers


async def test_viewers_are_counted_by_their_account_and_heavy_methods_weigh_more(start_appview: StartAppview, directory: MadeUpDirectory) -> None:  # fmt: skip
    started = await start_appview(
        resolve_key=directory,
        rate_windows=(Window(2, 60),),
        account_rate_windows=(Window(5, 60),),
        method_points={NAME: 2},
    )

    async def left(headers: dict[str, str]) -> tuple[int, str]:
        response = await started.client.get(NAME, headers=headers)
        return response.status_code, response.headers["ratelimit-remaining"]

    assert [await left(authorization()) for _ in range(3)] == [(200, "3"), (200, "1"), (429, "1")]
    assert [await left({}) for _ in range(2)] == [(200, "0"), (429, "0")]
