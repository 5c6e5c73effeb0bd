"""Fuzz one target in this process; `campaign.py` starts and watches it. Ends with 0, or with 1 for a finding."""

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--targets", default="fuzz.targets", help="the module that makes the targets")
    parser.add_argument("--engine", choices=["plain", "atheris"], required=True)
    parser.add_argument("--executions", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    options = parser.parse_args()
    bounds = (options.executions, options.seconds, options.seed)
    if options.engine == "atheris":
        # What makes inputs must be there before what it is to see.
        from fuzz.coverage_guided import run_atheris

        run_atheris(options.targets, options.target, *bounds, options.ledger, options.findings, options.corpus)
        return 0
    from fuzz.engines import Finding, Ledger, run_plain

    target = importlib.import_module(options.targets).make_targets()[options.target]
    try:
        run_plain(target, *bounds, Ledger(options.ledger), options.findings)
    except Finding as finding:
        sys.stderr.write(f"{finding}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
