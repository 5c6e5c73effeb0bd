"""Rules of the house that no other tool checks."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("atprotocol", "database", "indexer", "appview", "plyr")
LINE_LIMIT = 400
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "manager", "_internal"}


def tracked(*suffixes: str) -> list[Path]:
    """Return the files of the repository with these endings; all files where git is not there to ask."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = (
        listed.stdout.splitlines()
        if listed.returncode == 0
        else [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not path.is_relative_to(ROOT / ".venv")]
    )
    return [ROOT / name for name in names if name.endswith(suffixes) and (ROOT / name).exists()]


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(".py")
        if not path.is_relative_to(ROOT / "tests") and (lines := len(path.read_text().splitlines())) > LINE_LIMIT
    }

    assert long == {}, "split by subject"


def test_no_module_hides_its_subject_behind_its_name() -> None:
    assert [
        str(path) for path in tracked(".py") if path.stem in FORBIDDEN_NAMES or path.parent.name in FORBIDDEN_NAMES
    ] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_file_holds_a_paragraph_and_nothing_else(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        assert re.fullmatch(r'""".*?"""\s*', path.read_text(), re.DOTALL), (
            f"{path}: an __init__.py holds a docstring, no code"
        )


def test_every_module_says_what_it_is() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text().lstrip().startswith('"""'), f"{path} has no header"


def test_the_kernel_does_not_know_the_application() -> None:
    for path in (ROOT / "atprotocol").rglob("*.py"):
        assert "plyr" not in path.read_text(), f"{path} names the application"


@pytest.mark.parametrize("package", ["database", "indexer", "appview", "plyr"])
def test_no_name_of_ours_is_spelled_out_in_code(package: str) -> None:
    """NSIDs follow from the namespace in the settings; only its default is written down."""
    for path in (ROOT / package).rglob("*.py"):
        found = re.findall(r"fm\.plyr\.[a-z]\w*", path.read_text())
        assert [name for name in found if name not in ("fm.plyr.stg", "fm.plyr.dev")] == [], path


def test_only_the_command_line_reads_the_environment() -> None:
    for package in ("atprotocol", "database", "indexer", "appview"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            assert "os.environ" not in text or path.name == "postgres_binaries.py", f"{path} reads the environment"
            assert "getenv" not in text, f"{path} reads the environment"


def test_every_catch_all_stands_at_a_boundary_of_a_program() -> None:
    """One that only cleans up and raises again is none."""
    allowed = {"plyr/program.py", "appview/xrpc/server.py"}
    catch_all = re.compile(r"except(?: (?:Base)?Exception)?(?: as \w+)?:(?!\s*\n(?: +\w[\w.]*\(.*\)\n)* +raise\n)")
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if catch_all.search(path.read_text())
    }

    assert found <= allowed


def test_the_locked_requirements_name_no_index() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert not any("://" in line or line.startswith(("--index", "-i ")) for line in lines)
        assert any(line.startswith("    --hash=sha256:") for line in lines)
    locked = tracked("package-lock.json")
    assert locked
    for path in locked:
        assert '"resolved"' not in path.read_text()


def test_the_guards_of_the_invariants_exist() -> None:
    """docs/invariants.md names the tests that guard each rule, as `path::name`."""
    guards = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "invariants.md").read_text())

    assert len(guards) >= 10
    for path, name in guards:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            f"{path}::{name} does not exist"
        )


def test_links_between_documents_lead_somewhere() -> None:
    for path in tracked(".md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path} links to {target}"
