"""The service's DID document, by which clients and hosts find it: did:web of the public address.

It names the AppView and nothing else: no key, because nothing is signed yet, and no other service.
Sources: https://w3c-ccg.github.io/did-method-web/, https://atproto.com/specs/did
"""

from urllib.parse import urlsplit

from appview.settings import AppviewSettings
from appview.xrpc.call import Output

SERVICE_ID = "#plyr_appview"
SERVICE_TYPE = "PlyrAppView"


def audiences(settings: AppviewSettings) -> frozenset[str]:
    """Return the names by which tokens may call this service.

    The service within the DID is what they should say. The bare DID is what hosts still write, and not a wildcard.
    """
    return frozenset((settings.did + SERVICE_ID, settings.did))


def did_document(settings: AppviewSettings) -> Output:
    """Return the document of /.well-known/did.json; its endpoint is an origin, whatever the public address ends in."""
    origin = urlsplit(settings.public_url)
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": settings.did,
        "service": [
            {"id": SERVICE_ID, "type": SERVICE_TYPE, "serviceEndpoint": f"{origin.scheme}://{origin.netloc}"},
        ],
    }
