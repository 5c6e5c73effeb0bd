"""A port to serve on: taken before anything else starts, so that a port in use costs nobody a database or a wait."""

import asyncio
import contextlib
import errno
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from plyr.outcome import CommandError, ExitCode

GRACE_SECONDS = 3


@contextmanager
def port_taken(
    host: str, port: int, names: tuple[str, str] = ("--port (PLYR_PORT)", "--host (PLYR_HOST)")
) -> Iterator[list[socket.socket]]:
    """Take a port (0: a free one) on every address of a host, within the block.

    `names` are those of the settings that chose them.
    Raises CommandError when it is not to be had.
    """
    with contextlib.ExitStack() as stack:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise CommandError(
                f"{names[1]} {host} is no address of this machine: {error}", ExitCode.WRONG_USAGE
            ) from error
        sockets: list[socket.socket] = []
        failed: OSError | None = None
        for family, kind, protocol, _, address in found:
            opened = stack.enter_context(socket.socket(family, kind, protocol))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # All addresses get the port that the first one got.
            wanted = (address[0], port or port_of(sockets), *address[2:]) if sockets else address
            try:
                opened.bind(wanted)
                opened.listen(2048)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise CommandError(
                        f"port {port} of {host} is taken by another program: stop it, or choose another with {names[0]}",
                        ExitCode.OCCUPIED,
                    ) from error
                failed = error
            else:
                sockets.append(opened)
        if not sockets:
            raise CommandError(f"cannot listen on {host} port {port}: {failed}. Choose with {names[1]} and {names[0]}.")
        yield sockets


def port_of(sockets: list[socket.socket]) -> int:
    """Return the port that was taken."""
    return int(sockets[0].getsockname()[1])


class _Server(uvicorn.Server):
    """A server in somebody else's program: signals are not its business."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What start-up made lives as long as the process: to look through it at every full collection costs slow answers.
        gc.collect()
        gc.freeze()
        self._on_ready()


async def serve(app: ASGIApp, sockets: list[socket.socket], on_ready: Callable[[], None]) -> None:
    """Serve until cancelled; then let the requests under way end, for a few seconds."""
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, on_ready)
    serving = asyncio.create_task(server.serve(sockets))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
