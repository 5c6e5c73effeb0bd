"""nginx with one worker and sendfile, on a port of this machine, giving the files of one folder: what audio is compared with.

Whatever is installed is taken (Debian's package nginx-light will do), with a configuration of our own; nothing is written outside a
temporary folder, and the benchmark ends with a sentence and exit code 1 where there is no nginx.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20
# One process, which is its own worker. Everything that it would write lies in a folder of ours. tcp_nopush is left off: on
# loopback it holds the last segment of a range back for 40 ms (180 ranges/s instead of 15,000).
_CONFIGURATION = """
daemon off;
master_process off;
pid {own}/pid;
error_log {own}/errors;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    types {{ }}
    default_type audio/mpeg;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


@contextmanager
def nginx(folder: Path, own: Path, core: int) -> Iterator[tuple[int, int]]:
    """Give port and process of an nginx that serves a folder from one core; `own` is an empty folder. Raises SystemExit without nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("python -m bench audio compares with nginx, which is not here: apt-get install nginx-light")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    configuration = own / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(own=own, port=port, folder=folder))
    process = subprocess.Popen(
        [program, "-p", own, "-e", own / "errors", "-c", configuration],
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        _wait_for(process, port, own / "errors")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int, errors: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nginx does not serve: {errors.read_text()[-1000:] if errors.exists() else 'it says nothing'}")
