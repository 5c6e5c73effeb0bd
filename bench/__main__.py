"""Run benchmarks: `python -m bench` for all, `python -m bench dense serve` for some; `--json` for scripts."""

import argparse
import json
import platform

from bench import audio, backfill, indexing, large, listening, operations, parts, search, secured, serving

BENCHMARKS = {
    "catch-up": indexing.catch_up,
    "dense": indexing.dense,
    "serve": serving.serve,
    "serve-parts": serving.serve_parts,
    "backfill": backfill.backfill,
    "large": large.large,
    "parts": parts.parts,
    "search": search.search,
    "tls": secured.over_tls,
    "restart": operations.restart,
    "visible": operations.visible,
    "soak": operations.soak,
    "listeners": listening.listening,
    "audio": audio.audio,
}


def main() -> None:
    """Run what was asked for and print its figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog="example: python -m bench dense --json"
    )
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which to run (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    results = {}
    for name in arguments.names or BENCHMARKS:
        results[name] = BENCHMARKS[name]()
        if not arguments.json:
            print(f"{name} (Python {platform.python_version()}, {platform.machine()})")
            for key, value in results[name].items():
                print(f"  {key:36} {value}")
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
