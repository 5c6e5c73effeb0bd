"""Help, wrong usage and exit codes, as a user and a script meet them."""

import subprocess
import sys

import pytest
from plyr_command import environment, open_folder, run_plyr

from plyr.__main__ import command_line
from plyr.commands.overview import COMMANDS

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_its_exit_codes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line()([*name.split(), "--help"], result_action="return_value")
    shown = capsys.readouterr().out
    assert f"Usage: plyr {name}" in shown
    assert f"Example:\n  {COMMANDS[name].examples[0][:60]}" in shown
    assert "Exit codes: 0 ok" in shown


def test_the_overview_names_every_command_and_loads_none() -> None:
    program = (
        "import sys; from plyr.__main__ import command_line; command_line()(['--help'], result_action='return_value');"
        "print(sorted({'asyncpg', 'fastapi', 'sqlalchemy', 'uvicorn', 'logfire', 'aiohttp'} & sys.modules.keys()))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert all(f"{name.split()[0]} " in finished.stdout for name in COMMANDS)
    assert finished.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["nonsense"], {}, "nonsense"),
        (["serve", "--port", "seventy"], {}, "--port"),
        (["serve", "--port", "70000"], {}, "--port (PLYR_PORT)"),
        (["serve"], {"PLYR_PORT": "x"}, "--port (PLYR_PORT)"),
        (["index", "--relay", "relay.example.com"], {}, "--relay (PLYR_RELAY_URL)"),
        (["hide", "somebody", "--reason", "x"], {}, "somebody"),
        (["hide", DID], {}, "--reason"),
        (["hide", DID, "--reason", " "], {}, "--reason"),
        (["resync", "did:"], {}, "did:plc"),
        (["status"], {"PLYR_DATABASE_URL": "mysql://localhost/x"}, "PLYR_DATABASE_URL"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_what_is_wrong(
    arguments: list[str], variables: dict[str, str], said: str
) -> None:
    finished = run_plyr(*arguments, **variables)
    assert finished.returncode == 2
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("arguments", [["status"], ["reindex"], ["hide", DID, "--reason", "x"], ["resync", DID]])
def test_where_there_is_no_database_nothing_is_made_and_the_code_is_3(arguments: list[str]) -> None:
    with open_folder() as folder:
        finished = run_plyr(*arguments, "--data-dir", str(folder / "data"))
        assert finished.returncode == 3
        assert "plyr up" in finished.stderr
        assert list(folder.iterdir()) == []


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    finished = run_plyr("status", PLYR_DATABASE_URL="postgresql://me:s3cret-word@localhost:1/music")
    assert finished.returncode == 3
    assert "postgresql://localhost:1/music" in finished.stderr
    assert "s3cret-word" not in finished.stderr + finished.stdout


def test_a_database_url_that_cannot_be_read_is_not_repeated() -> None:
    finished = run_plyr("status", PLYR_DATABASE_URL="postgresql://me:s3cret/word@localhost:5432/music")
    assert finished.returncode == 2
    assert "PLYR_DATABASE_URL" in finished.stderr
    assert "s3cret" not in finished.stderr
