"""index.getRepoStatus: how far an account's repository is known."""

from appview.service import Context
from appview.status import repo_status
from appview.views.index import repo_status_view
from appview.xrpc.call import Output


async def get_repo_status(context: Context) -> Output:
    """Return the state of a repository."""
    did = context.call.text("did")
    return repo_status_view(did, await repo_status(context.connection, context.asker, did))
