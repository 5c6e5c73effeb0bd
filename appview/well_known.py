"""The service's DID document, by which clients and hosts find it: did:web of the public address.

It names the AppView and nothing else: no key, because nothing is signed yet, and no other service.
Sources: https://w3c-ccg.github.io/did-method-web/, https://atproto.com/specs/did
"""

from appview.settings import AppviewSettings
from appview.xrpc.call import Output

SERVICE_ID = "#plyr_appview"
SERVICE_TYPE = "PlyrAppView"


def did_document(settings: AppviewSettings) -> Output:
    """Return the document of /.well-known/did.json."""
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": settings.did,
        "service": [
            {"id": SERVICE_ID, "type": SERVICE_TYPE, "serviceEndpoint": settings.public_url.rstrip("/")},
        ],
    }
