"""Single values, as views write them."""

import time
from datetime import UTC, datetime

import pytest

from appview.views.formats import instant_text


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_the_ends_of_the_calendar_are_written_wherever_the_server_stands(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for bare in (datetime.min, datetime.max):
            assert instant_text(bare) == instant_text(bare.replace(tzinfo=UTC))
        assert instant_text(datetime.max) == "9999-12-31T23:59:59.999Z"
    finally:
        monkeypatch.undo()
        time.tzset()
