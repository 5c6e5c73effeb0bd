"""A Postgres of our own: made, started and stopped here, on a Unix socket, for whoever has none.

Runs as root (then the server is the user postgres or nobody) and as anybody else, survives concurrent
first starts, SIGKILL and unreaped zombies, and listens on no network. Trust authentication is safe only
because the socket's folder is closed to everybody else. Refuses to change the mode of a folder that it
did not make: where the server's user cannot enter, it says which folder and why. The functions block
(callers run them in a thread) and print nothing.
Source: https://www.postgresql.org/docs/current/app-pg-ctl.html
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from database.postgres_binaries import (
    Binaries,
    EmbeddedPostgresError,
    closed_folder_sentence,
    file_lock,
    find_binaries,
    first_closed_folder,
    make_folder,
    run_program,
    service_account,
)

DATABASE = "plyr"
USER = "plyr"
PORT = 5432  # of the socket's file name only
START_TIMEOUT_SECONDS = 60
DEAD_SERVER_WAIT_SECONDS = 10.0
LOG_LIMIT_BYTES = 10_000_000
# A socket's address holds 104 bytes on macOS and 108 on Linux; its own name takes 15 of them.
SOCKET_FOLDER_LIMIT_BYTES = 80
DEFAULT_SETTINGS = {"shared_buffers": "128MB", "max_connections": "60", "jit": "off", "timezone": "UTC"}


class EmbeddedPostgres:
    """One cluster in one folder; several processes may use it, and the last to stop stops the server."""

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, str] | None = None,
        *,
        binaries: Path | None = None,
        binaries_cache: Path | None = None,
    ) -> None:
        """Name the cluster's folder; nothing is touched before start().

        `settings` are server settings by name, `binaries` a `bin` folder that replaces the search, and
        `binaries_cache` where unpacked programs go (default: in `root`).
        """
        self.root = root.absolute()
        self.settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self.data = self.root / "data"
        self.log = self.root / "postgres.log"
        self.socket_folder = _socket_folder(self.root)
        self._wanted_binaries = binaries
        self._binaries_cache = binaries_cache or self.root / "binaries"
        self._account: pwd.struct_passwd | None = None
        self._found: Binaries | None = None
        self._in_use: int | None = None

    @property
    def url(self) -> str:
        """Return the database's URL; as root the socket's folder belongs to another user, which root may enter."""
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://{USER}@/{database}?host={self.socket_folder}&port={PORT}"

    def start(self) -> str:
        """Make the cluster if it is new, start the server unless it runs, and return the database's URL.

        Raises EmbeddedPostgresError.
        """
        try:
            self._prepare()
            with file_lock(self.root / "lock"):
                self._own_folder(self.socket_folder)
                if not self.data.exists():
                    self._make_cluster()
                if not self._is_running():
                    self._await_orphans()
                    self._rotate_log()
                    self._control(
                        "-l", str(self.log), "-w", "-t", str(START_TIMEOUT_SECONDS), "-o", self._options(), "start"
                    )
                if self._in_use is None:
                    self._in_use = os.open(self.root / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                    fcntl.flock(self._in_use, fcntl.LOCK_SH)
                if DATABASE not in self.execute("select datname from pg_database").split():
                    self.execute(f'create database "{DATABASE}"')
        except OSError as error:
            raise EmbeddedPostgresError(f"Postgres cannot live in {self.root}: {error}") from error
        return self.url

    def stop(self) -> None:
        """Stop the server, unless another process or object that started it here still uses it."""
        if self._in_use is None:
            return
        with file_lock(self.root / "lock"):
            try:
                # The kernel drops the lock of a process that died, so a crash leaves no server in use.
                fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                os.close(self._in_use)
                self._in_use = None
            if self._is_running():
                self._control("-m", "fast", "-w", "stop")

    def running(self) -> bool:
        """Return whether the server runs."""
        if not self.data.exists():
            return False
        self._prepare()
        return self._is_running()

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one SQL statement through psql and return its unaligned output; the server must run."""
        connection = {"PGHOST": str(self.socket_folder), "PGPORT": str(PORT), "PGUSER": USER}
        binaries = self._binaries()
        command = [binaries.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, database]
        return run_program(command, self._account, {**binaries.environment(self.root), **connection})

    def _prepare(self) -> None:
        """Decide whom the server runs as, check that it can live here, and find the programs."""
        self._account = service_account()
        if self.data.exists():
            owner = self.data.stat().st_uid
            if self._account is None and owner != os.geteuid():
                raise EmbeddedPostgresError(
                    f"{self.data} belongs to user {owner}: run as that user, or choose another data folder."
                )
            if self._account is not None and owner not in (0, self._account.pw_uid):
                self._account = pwd.getpwuid(owner)
        closed = first_closed_folder(self.root, self._account)
        if closed is not None:
            raise EmbeddedPostgresError(closed_folder_sentence(closed, self._account))
        make_folder(self.root)
        if self._found is None:
            version = self.data / "PG_VERSION"
            major = int(version.read_text()) if version.exists() else None
            self._found = find_binaries(self._binaries_cache, self._account, wanted=self._wanted_binaries, major=major)

    def _binaries(self) -> Binaries:
        if self._found is None:
            raise EmbeddedPostgresError("The embedded Postgres was not started.")
        return self._found

    def _control(self, *arguments: str) -> None:
        binaries = self._binaries()
        command = [binaries.program("pg_ctl"), "-D", str(self.data), *arguments]
        run_program(command, self._account, binaries.environment(self.root), START_TIMEOUT_SECONDS + 30)

    def _is_running(self) -> bool:
        if self._zombie():
            return False
        try:
            self._control("status")
        except EmbeddedPostgresError:
            return False
        return True

    def _options(self) -> str:
        # pg_ctl hands this text to a shell.
        options = ["-k", str(self.socket_folder), "-c", "listen_addresses=", "-p", str(PORT)]
        for name, value in self.settings.items():
            options += ["-c", f"{name}={value}"]
        return shlex.join(options)

    def _own_folder(self, path: Path) -> None:
        """Make a folder for the server alone; a folder that somebody else put there is refused."""
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
        ours = {os.geteuid()} if self._account is None else {0, self._account.pw_uid}
        if path.is_symlink() or not path.is_dir() or status.st_uid not in ours:
            raise EmbeddedPostgresError(f"{path} exists and is not ours: remove it, or choose another data folder.")
        path.chmod(0o700)
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _make_cluster(self) -> None:
        # Made aside and renamed: a cluster cut short while it is made would look like a whole one.
        binaries = self._binaries()
        unfinished = self.root / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._own_folder(unfinished)
        # The builtin C.UTF-8 has real Unicode upper and lower case, needs neither ICU nor a locale of the
        # system, and sorts by code point.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        locale = builtin if binaries.major >= 17 else ["--locale=C.UTF-8"]
        durability = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        command = [binaries.program("initdb"), "-D", str(unfinished), "-U", USER, "-E", "UTF8", *locale]
        command += ["--auth=trust", "--no-instructions", *durability]
        run_program(command, self._account, binaries.environment(self.root))
        unfinished.rename(self.data)

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.root / "postgres.log.1")
        self.log.touch(0o600)
        if self._account is not None:
            os.chown(self.log, self._account.pw_uid, self._account.pw_gid)

    def _zombie(self) -> bool:
        """Return whether the server is dead and not reaped.

        After a SIGKILL it stays a zombie until PID 1 reaps it (in a container without an init: for ever),
        and both pg_ctl and postgres take a zombie for a live server.
        """
        with contextlib.suppress(OSError, ValueError, IndexError):
            server = int((self.data / "postmaster.pid").read_text().split()[0])
            return Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        return False

    def _await_orphans(self) -> None:
        """Wait until the children of a server that died have left, then remove the lock files of a zombie.

        Postgres refuses to start beside such children, and without its pid file it would not see them and would
        corrupt the cluster. Where there is no zombie it tells by itself that its lock files are stale.
        Raises EmbeddedPostgresError when they stay.
        """
        pid_file = self.data / "postmaster.pid"
        deadline = time.monotonic() + DEAD_SERVER_WAIT_SECONDS
        while pid_file.exists() and (orphans := self._orphans()):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"The server died and processes of it still use {self.data}: {orphans}.")
            time.sleep(0.05)
        if self._zombie():
            # The socket has a lock file of its own, which names the zombie too.
            (self.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
            pid_file.unlink()

    def _orphans(self) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink() == self.data.resolve():
                    found.append(int(process.name))
        return found


def _socket_folder(root: Path) -> Path:
    folder = root / "socket"
    # The path goes into a comma-separated setting and into a URL.
    if len(os.fsencode(folder)) <= SOCKET_FOLDER_LIMIT_BYTES and re.fullmatch(r"[A-Za-z0-9_./-]+", str(folder)):
        return folder
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"plyr-socket-{digest}"
