import pytest

from database.connect import parse_database_url


@pytest.mark.parametrize(
    ("url", "dsn", "pooled"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db", False),
        ("postgres://u:p@h:5433/db", "postgresql://u:p@h:5433/db", False),
        ("postgresql+asyncpg://u@h/db", "postgresql://u@h/db", False),
        (
            "postgresql://u:p@ep-cool-1.eu.neon.tech/db?sslmode=require&channel_binding=require",
            "postgresql://u:p@ep-cool-1.eu.neon.tech/db?sslmode=require",
            False,
        ),
        (
            "postgresql://u:p@ep-cool-1-pooler.eu.neon.tech/db?sslmode=require",
            "postgresql://u:p@ep-cool-1-pooler.eu.neon.tech/db?sslmode=require",
            True,
        ),
        ("postgresql://u@h:6432/db", "postgresql://u@h:6432/db", True),
        ("postgresql://u@h/db?pgbouncer=true", "postgresql://u@h/db", True),
        ("postgresql://plyr@/plyr?host=/run/pg&port=5432", "postgresql://plyr@/plyr?host=%2Frun%2Fpg&port=5432", False),
    ],
)
def test_urls_are_taken_as_providers_write_them(url: str, dsn: str, pooled: bool) -> None:
    database = parse_database_url(url)

    assert (database.dsn, database.pooled) == (dsn, pooled)


@pytest.mark.parametrize("url", ["", "mysql://h/db", "h/db", "sqlite:///x"])
def test_what_is_no_postgres_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        parse_database_url(url)


def test_a_url_is_shown_without_its_secrets() -> None:
    shown = parse_database_url("postgresql://user:secret@host:5433/db?sslmode=require").shown()

    assert shown == "postgresql://host:5433/db"
