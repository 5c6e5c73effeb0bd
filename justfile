# `just` alone runs every check: format, lint, types, import contracts, tests.
export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")

check: format-check lint types contracts test

format-check:
    ruff format --check .

lint:
    ruff check .

types:
    mypy

contracts:
    lint-imports

# all tests, or some: `just test tests/atprotocol -k mst`
test *args:
    python -m pytest -n 2 --dist loadgroup {{args}}

# rewrite the files as the formatter and the linter's safe fixes want them
format:
    ruff format .
    ruff check --fix .

# the figures of docs/reference/benchmarks.md: `just bench`, or one of them: `just bench serve`
bench *args:
    python -m bench {{args}}

# write the hashed requirements again after a change of pyproject.toml (needs uv: `pip install uv`)
lock:
    uv lock --quiet --upgrade
    uv export --quiet --format requirements-txt --no-emit-project --no-annotate --no-header --no-dev --output-file requirements.txt
    uv export --quiet --format requirements-txt --no-emit-project --no-annotate --no-header --output-file requirements-dev.txt

# record the network that `plyr demo` replays again, from real hosts
record:
    python tests/end_to_end/record_demo.py

# write the generated pages of docs/reference/ again
reference:
    python -m docs.generate

# kill, cut and crash the indexer a hundred times and compare every table with an undisturbed run's
crash *args:
    python tests/crash/campaign.py {{args}}

# kill the media worker at random moments and see that nothing is lost, halved or left behind
crash-media *args:
    python tests/crash/media_campaign.py {{args}}

# plant deliberate bugs in copies of the repository and see that the named tests notice each
mutants *args:
    python tests/mutants/campaign.py {{args}}

# fuzz what reads bytes of strangers (coverage-guided where `atheris` of the group `fuzz` is installed)
fuzz *args:
    python tests/fuzz/campaign.py {{args}}

# how much of the kernel and the indexer their own tests reach
coverage:
    python -m pytest -q -n 2 --dist loadgroup --cov=atprotocol --cov=indexer --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95 tests/atprotocol tests/indexer
