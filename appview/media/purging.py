"""Have the operator's CDN forget what it keeps, when bytes are let go that were for everybody.

One POST for at most thirty URLs, `{"files": [URL, …]}` with a bearer token, which is the form of Cloudflare's purge by
URL. An answer other than success is passing trouble: the job stays and is tried again. The token stands in a header alone.
Source: https://developers.cloudflare.com/api/resources/cache/methods/purge/
"""

from collections.abc import Sequence

import aiohttp

from appview.media.settings import Purging
from atprotocol.errors import NetworkError

TIMEOUT_SECONDS = 15.0
URLS_AT_ONCE = 30


class CdnPurge:
    """Orders to one CDN."""

    def __init__(self, session: aiohttp.ClientSession, purging: Purging) -> None:
        """Take an HTTP session and where the orders go."""
        self._session = session
        self._purging = purging

    async def __call__(self, urls: Sequence[str]) -> None:
        """Have these URLs forgotten. Raises NetworkError."""
        for start in range(0, len(urls), URLS_AT_ONCE):
            await self._order(urls[start : start + URLS_AT_ONCE])

    async def _order(self, urls: Sequence[str]) -> None:
        headers = {"Authorization": f"Bearer {self._purging.token}"}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with self._session.post(
                self._purging.url, json={"files": list(urls)}, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise NetworkError(f"the CDN did not purge: status {response.status}")
        except (aiohttp.ClientError, OSError) as error:
            raise NetworkError(f"the CDN did not purge: {type(error).__name__}") from error
