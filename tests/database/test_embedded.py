"""The embedded Postgres, really started: first starts, crashes, users and folders."""

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from postgres import BINARIES_CACHE, SETTINGS, PostgresForTests

from database.data_dir import choose_data_dir
from database.embedded import EmbeddedPostgres
from database.postgres_binaries import EmbeddedPostgresError, find_binaries, service_account

REPOSITORY = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")

_CONCURRENT = """
import sys
from pathlib import Path
from database.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), {"fsync": "off"})
server.start()
print(server.execute("select count(*) from pg_database where datname = 'plyr'", "plyr").strip(), flush=True)
sys.stdin.read()
server.stop()
"""

_AS_NOBODY = """
import os, pwd, sys, tempfile
from pathlib import Path
import encodings.idna, subprocess
from database.embedded import EmbeddedPostgres
nobody = pwd.getpwnam("nobody")
os.setgroups([]); os.setgid(nobody.pw_gid); os.setuid(nobody.pw_uid)
server = EmbeddedPostgres(Path(sys.argv[1]), {"fsync": "off"})
server.start()
print(os.stat(server.data).st_uid, server.execute("select 40 + 2", "plyr").strip())
server.stop()
print(server.running())
"""


def _server(root: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(root, SETTINGS, binaries_cache=BINARIES_CACHE)


def _server_pid(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that every user can enter, as pytest's own temporary folders are not."""
    path = Path(tempfile.mkdtemp(prefix="plyr-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_a_new_cluster_starts_and_serves_on_a_socket_alone(folder: Path) -> None:
    server = _server(folder / "cluster")
    url = server.start()
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("show listen_addresses") == ""
        assert await connection.fetchval("select lower('ÉÑЖÅ')") == "éñжå"
        assert await connection.fetchval("select count(*) from (values ('B'), ('a'), ('é')) v(x) where x < 'a'") == 1
        assert await connection.fetchval("show timezone") == "UTC"
    finally:
        await connection.close()
    assert server.socket_folder.stat().st_mode & 0o077 == 0
    server.stop()
    assert not server.running()


def test_a_second_start_keeps_the_data_and_a_server_in_use_is_not_stopped(folder: Path) -> None:
    first = _server(folder)
    first.start()
    first.execute("create table kept (n int); insert into kept values (7)", "plyr")
    second = _server(folder)
    second.start()
    first.stop()
    assert second.execute("select n from kept", "plyr").strip() == "7"
    second.stop()
    assert not first.running()
    second.start()
    assert second.execute("select n from kept", "plyr").strip() == "7"
    second.stop()


def test_concurrent_first_starts_by_several_processes_share_one_cluster(folder: Path) -> None:
    command = [sys.executable, "-c", _CONCURRENT, str(folder / "shared")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": REPOSITORY}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    try:
        assert [process.stdout.readline().strip() for process in processes] == ["1", "1", "1"]
        for process in processes:
            assert _server(folder / "shared").running()
            process.communicate("", timeout=60)
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert not _server(folder / "shared").running()


def test_it_starts_again_after_the_server_was_killed(folder: Path) -> None:
    # What was committed must be there afterwards, so commits wait for the log as they do outside tests.
    durable = {**SETTINGS, "synchronous_commit": "on"}
    server = EmbeddedPostgres(folder, durable, binaries_cache=BINARIES_CACHE)
    server.start()
    server.execute("create table kept (n int)", "plyr")
    died = os.pidfd_open(_server_pid(server))
    signal.pidfd_send_signal(died, signal.SIGKILL)
    select.select([died], [], [])
    os.close(died)
    server.start()
    assert server.execute("select count(*) from kept", "plyr").strip() == "0"
    server.stop()


def test_a_zombie_is_not_taken_for_a_live_server(folder: Path) -> None:
    server = _server(folder)
    server.start()
    server.stop()
    # A child of ours that nobody waits for is a zombie, as a killed server is in a container without an init.
    # It must be of the server's user: Postgres takes a process that it may not signal for a stranger.
    account = service_account()
    zombie = subprocess.Popen(["/bin/true"], user=None if account is None else account.pw_uid)
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    lines = f"{zombie.pid}\n{server.data}\n0\n5432\n{server.socket_folder}\n\n\nready\n"
    (server.data / "postmaster.pid").write_text(lines)
    (server.socket_folder / ".s.PGSQL.5432.lock").write_text(lines)
    assert not server.running()
    server.start()
    assert _server_pid(server) != zombie.pid
    server.stop()
    zombie.wait()


def test_a_starting_server_waits_for_the_lock_of_another_thread(folder: Path) -> None:
    servers = [_server(folder) for _ in range(2)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(server.running() for server in servers)
    for server in servers:
        server.stop()


def test_a_long_or_odd_path_puts_the_socket_elsewhere(folder: Path) -> None:
    assert EmbeddedPostgres(folder).socket_folder == folder / "socket"
    for name in ("x" * 90, "with space, and comma"):
        socket_folder = EmbeddedPostgres(folder / name).socket_folder
        assert folder not in socket_folder.parents
        assert len(str(socket_folder)) < 80


def test_a_cut_short_cluster_is_made_again(folder: Path) -> None:
    (folder / "data.new").mkdir()
    (folder / "data.new" / "PG_VERSION").write_text("18\n")
    server = _server(folder)
    server.start()
    assert server.running()
    server.stop()


def test_data_of_another_version_are_refused_with_the_versions_named(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="the data are of version 9"):
        _server(folder).start()


@as_root
def test_as_root_a_folder_that_the_server_cannot_enter_is_refused_and_left_as_it_was(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match=f"cannot enter {closed}"):
        _server(closed / "cluster").start()
    with pytest.raises(EmbeddedPostgresError, match=f"cannot enter {closed}"):
        choose_data_dir(closed / "data", folder, {})
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_as_root_a_closed_home_is_not_chosen_and_the_user_is_told(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    chosen, sentence = choose_data_dir(None, home, {})
    assert home not in chosen.parents
    assert sentence is not None
    assert f"cannot enter {home}" in sentence
    assert str(chosen) in sentence


def test_the_usual_folder_is_the_xdg_data_home(folder: Path) -> None:
    assert choose_data_dir(None, folder, {}) == (folder / ".local" / "share" / "plyr", None)
    assert choose_data_dir(None, folder, {"XDG_DATA_HOME": str(folder / "xdg")}) == (folder / "xdg" / "plyr", None)
    assert choose_data_dir(None, folder, {"XDG_DATA_HOME": "relative"}) == (folder / ".local" / "share" / "plyr", None)
    assert choose_data_dir(folder / "mine", folder, {}) == (folder / "mine", None)


@as_root
def test_programs_in_a_closed_folder_are_copied_where_the_server_can_enter(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    bundled = find_binaries(BINARIES_CACHE, service_account()).folder
    (closed / "lib").symlink_to(bundled.parent / "lib")
    (closed / "bin").mkdir()
    shutil.copy(bundled / "postgres", closed / "bin" / "postgres")
    found = find_binaries(folder / "cache", service_account(), wanted=closed / "bin")
    assert (folder / "cache") in found.folder.parents


def test_programs_that_do_not_run_are_passed_over_and_named(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "postgres").write_text("#!/bin/sh\necho missing library >&2\nexit 127\n")
    (folder / "bin" / "postgres").chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match="does not run"):
        find_binaries(folder / "cache", service_account(), wanted=folder / "bin")


@as_root
def test_somebody_elses_socket_folder_is_refused(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (folder / "socket").symlink_to(elsewhere)
    with pytest.raises(EmbeddedPostgresError, match="not ours"):
        _server(folder).start()
    assert elsewhere.stat().st_mode & 0o777 == 0o755


@as_root
def test_it_runs_as_an_ordinary_user_too(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    command = [sys.executable, "-c", _AS_NOBODY, str(folder / "cluster")]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert finished.stdout == f"{nobody.pw_uid} 42\nFalse\n", finished.stderr


async def test_a_copied_database_holds_what_its_template_held(postgres: PostgresForTests) -> None:
    template = postgres.create_database()
    connection = await asyncpg.connect(template)
    await connection.execute("create table t (n int); insert into t values (3)")
    await connection.close()
    copy = postgres.create_database(template)
    connection = await asyncpg.connect(copy)
    assert await connection.fetchval("select n from t") == 3
    postgres.drop_database(copy)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(copy)
    connection.terminate()
