"""An account on a PDS of the local network, and what its owner does with it, over the PDS's own XRPC."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

Record = dict[str, Any]


class XrpcFailure(Exception):
    """A method answered with an error."""

    def __init__(self, method: str, status: int, body: str) -> None:
        """Keep what the server said."""
        super().__init__(f"{method}: {status} {body[:500]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Pds:
    """One PDS of the network; handles under `handle_domain` (`.pds1.test`) are its own."""

    name: str
    url: str
    did: str
    handle_domain: str
    admin_password: str


@dataclass(frozen=True, slots=True)
class Written:
    """What the PDS answered to a write; a strongRef is `{"uri": …, "cid": …}` of it."""

    uri: str
    cid: str
    rev: str | None

    @property
    def strong_ref(self) -> Record:
        """Return the reference that other records hold."""
        return {"uri": self.uri, "cid": self.cid}

    @property
    def record_key(self) -> str:
        """Return the last segment of the URI."""
        return self.uri.rsplit("/", 1)[1]


class MailBox(Protocol):
    """Where the network keeps its mail."""

    async def mail_token(self, to: str, pds: Pds) -> str:
        """Return the token of the latest mail to an address from a PDS."""


@dataclass(slots=True)
class Account:
    """An account with an open session; migration and renaming change it in place."""

    handle: str
    did: str
    email: str
    password: str
    pds: Pds
    access_jwt: str = field(repr=False)
    http: httpx.AsyncClient = field(repr=False)
    mail: MailBox = field(repr=False)

    async def query(self, method: str, **parameters: str) -> Any:
        """Ask a method of the account's PDS, signed in."""
        return (await self._call(self.pds, "GET", method, self.access_jwt, params=parameters)).json()

    async def procedure(self, method: str, body: Record | None = None) -> Any:
        """Call a procedure of the account's PDS, signed in; None answers with nothing."""
        arguments = {} if body is None else {"json": body}
        response = await self._call(self.pds, "POST", method, self.access_jwt, **arguments)
        return response.json() if response.content else None

    async def create_record(self, collection: str, record: Record, record_key: str | None = None) -> Written:
        """Create a record, of any content, under a key of the PDS's choice or the caller's."""
        key = {} if record_key is None else {"rkey": record_key}
        return await self._write("createRecord", collection, record, key)

    async def put_record(self, collection: str, record_key: str, record: Record) -> Written:
        """Create or replace a record."""
        return await self._write("putRecord", collection, record, {"rkey": record_key})

    async def delete_record(self, collection: str, record_key: str) -> None:
        """Delete a record; a missing one is no error."""
        key = {"repo": self.did, "collection": collection, "rkey": record_key}
        await self.procedure("com.atproto.repo.deleteRecord", key)

    async def apply_writes(self, writes: list[Record]) -> Any:
        """Apply up to 200 writes in one commit.

        Each is `{"action": "create" | "update" | "delete", "collection": …, "rkey"?: …, "value"?: …}`.
        """
        typed = []
        for write in writes:
            rest = {name: value for name, value in write.items() if name != "action"}
            typed.append({"$type": f"com.atproto.repo.applyWrites#{write['action']}"} | rest)
        return await self.procedure("com.atproto.repo.applyWrites", {"repo": self.did, "writes": typed})

    async def upload_blob(self, content: bytes, mime_type: str) -> Record:
        """Upload a blob and return the blob object that a record holds."""
        uploaded = await self._upload(self.pds, self.access_jwt, content, mime_type)
        blob: Record = uploaded["blob"]
        return blob

    async def update_handle(self, handle: str) -> None:
        """Take another handle, which must resolve to this account."""
        await self.procedure("com.atproto.identity.updateHandle", {"handle": handle})
        self.handle = handle

    async def deactivate(self) -> None:
        """Deactivate the account."""
        await self.procedure("com.atproto.server.deactivateAccount", {})

    async def activate(self) -> None:
        """Activate the account."""
        await self.procedure("com.atproto.server.activateAccount")

    async def delete_account(self) -> None:
        """Delete the account, with the token that comes by mail."""
        await self.procedure("com.atproto.server.requestAccountDelete")
        token = await self.mail.mail_token(self.email, self.pds)
        body = {"did": self.did, "password": self.password, "token": token}
        await self.procedure("com.atproto.server.deleteAccount", body)

    async def migrate_to(self, target: Pds) -> None:
        """Move the account, its repo and its blobs to another PDS, with a handle of that PDS.

        Until its next write the repo there still carries a commit of the old key.
        """
        source, source_jwt = self.pds, self.access_jwt
        handle = self.handle.split(".", 1)[0] + target.handle_domain
        grant = await self.query(
            "com.atproto.server.getServiceAuth", aud=target.did, lxm="com.atproto.server.createAccount"
        )
        new = {"did": self.did, "handle": handle, "email": self.email, "password": self.password}
        created = await self._call(target, "POST", "com.atproto.server.createAccount", grant["token"], json=new)
        target_jwt: str = created.json()["accessJwt"]

        repo = await self._call(source, "GET", "com.atproto.sync.getRepo", source_jwt, params={"did": self.did})
        car = {"content": repo.content, "headers": {"Content-Type": "application/vnd.ipld.car"}}
        await self._call(target, "POST", "com.atproto.repo.importRepo", target_jwt, **car)
        await self._move_blobs(source, source_jwt, target, target_jwt)

        await self._call(source, "POST", "com.atproto.identity.requestPlcOperationSignature", source_jwt)
        token = await self.mail.mail_token(self.email, source)
        method = "com.atproto.identity.getRecommendedDidCredentials"
        wanted = (await self._call(target, "GET", method, target_jwt)).json() | {"token": token}
        signed = await self._call(source, "POST", "com.atproto.identity.signPlcOperation", source_jwt, json=wanted)
        operation = {"operation": signed.json()["operation"]}
        await self._call(target, "POST", "com.atproto.identity.submitPlcOperation", target_jwt, json=operation)

        await self._call(target, "POST", "com.atproto.server.activateAccount", target_jwt)
        await self._call(source, "POST", "com.atproto.server.deactivateAccount", source_jwt, json={})
        self.pds, self.access_jwt, self.handle = target, target_jwt, handle

    async def _move_blobs(self, source: Pds, source_jwt: str, target: Pds, target_jwt: str) -> None:
        method = "com.atproto.repo.listMissingBlobs"
        missing = (await self._call(target, "GET", method, target_jwt, params={"limit": "1000"})).json()
        for entry in missing["blobs"]:
            which = {"did": self.did, "cid": entry["cid"]}
            blob = await self._call(source, "GET", "com.atproto.sync.getBlob", source_jwt, params=which)
            await self._upload(target, target_jwt, blob.content, blob.headers["Content-Type"])

    async def _write(self, verb: str, collection: str, record: Record, key: Record) -> Written:
        body = {"repo": self.did, "collection": collection, "record": {"$type": collection} | record} | key
        answer = await self.procedure(f"com.atproto.repo.{verb}", body)
        return Written(answer["uri"], answer["cid"], answer.get("commit", {}).get("rev"))

    async def _upload(self, pds: Pds, jwt: str, content: bytes, mime_type: str) -> Record:
        body = {"content": content, "headers": {"Content-Type": mime_type}}
        uploaded: Record = (await self._call(pds, "POST", "com.atproto.repo.uploadBlob", jwt, **body)).json()
        return uploaded

    async def _call(self, pds: Pds, verb: str, method: str, jwt: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {jwt}"} | arguments.pop("headers", {})
        response = await self.http.request(verb, f"{pds.url}/xrpc/{method}", headers=headers, **arguments)
        if response.status_code != 200:
            raise XrpcFailure(method, response.status_code, response.text)
        return response
