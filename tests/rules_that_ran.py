"""At the end of a whole run of the tests: every test that a table of rules in docs/rules/ names did run.

A test that was skipped, for want of the interoperability fixtures, counts as one that ran at home and not under CI.
"""

import os
import sys
import tomllib
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[1] / "docs" / "rules"


class RulesThatRan:
    """Hears of every test's end."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._ran: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what passed, or was skipped where that is allowed."""
        if (report.when == "call" and report.passed) or (report.skipped and os.environ.get("CI") != "true"):
            self._ran.add(report.nodeid.partition("[")[0].partition("@")[0])

    def missing(self) -> list[str]:
        """Return the tests that are named and did not run."""
        tables = [tomllib.loads(path.read_text(encoding="utf-8"))["rule"] for path in RULES.glob("*.toml")]
        return sorted({test for rules in tables for rule in rules for test in rule["tests"]} - self._ran)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Listen where the reports of all workers arrive, when everything is asked for."""
    is_worker = hasattr(config, "workerinput")
    is_whole = config.args == config.getini("testpaths") and not config.option.keyword and not config.option.deselect
    if not is_worker and is_whole and not config.option.collectonly:
        config.pluginmanager.register(RulesThatRan(), "rules that ran")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a whole run that leaves out a test that guards a rule."""
    heard = session.config.pluginmanager.get_plugin("rules that ran")
    if heard is not None and exitstatus == pytest.ExitCode.OK and (missing := heard.missing()):
        sys.stderr.write(f"\nnamed in docs/rules and not run: {', '.join(missing)}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
