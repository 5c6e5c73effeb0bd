"""TXT records of a name, from the system's resolvers."""

from collections.abc import Awaitable, Callable

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from atprotocol.errors import NetworkError

TxtLookup = Callable[[str], Awaitable[list[str]]]


def txt_lookup(resolver: dns.asyncresolver.Resolver | None = None, timeout_seconds: float = 5.0) -> TxtLookup:
    """Return a function from a name to its TXT values, each joined from its strings; none is an empty list.

    Without a resolver the system's are read at the first question. The function raises NetworkError when no
    resolver gives a conclusive answer.
    """

    async def look_up(name: str) -> list[str]:
        nonlocal resolver
        try:
            if resolver is None:
                resolver = dns.asyncresolver.Resolver()
            answer = await resolver.resolve(f"{name}.", "TXT", lifetime=timeout_seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.NameTooLong, dns.name.LabelTooLong):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise NetworkError(f"TXT of {name}: {type(error).__name__}") from error
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer if isinstance(record, TXT)]

    return look_up
