"""Which labelers a client accepts: nothing said, nothing wanted, and nonsense are three different things."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_methods import CLIENT

from appview.xrpc.errors import InvalidRequest
from appview.xrpc.labelers import MAX_LABELERS, AcceptedLabelers, Labeler, labelers_text, parse_accepted_labelers
from atprotocol.syntax.did import DID

A, B = DID("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), DID("did:web:b_c.example.com%3A8080")
HEADER = "atproto-accept-labelers"


@pytest.mark.parametrize(
    ("values", "accepted"),
    [
        ([], None),
        ([""], ()),
        (["  "], ()),
        (["", ""], ()),
        ([A], ((A, False),)),
        ([f"{A}, {B}"], ((A, False), (B, False))),
        ([f"{A},{B}"], ((A, False), (B, False))),
        ([A, B], ((A, False), (B, False))),
        (["", A], ((A, False),)),
        ([f"{B};redact, {A}"], ((B, True), (A, False))),
        ([f"{A};redact=?1, {B};redact=?0"], ((A, True), (B, False))),
        ([f"{A} ; redact"], None),
        ([f"{A}; redact"], ((A, True),)),
        ([f'"{A}";redact'], ((A, True),)),
        ([f"{A};x=1;redact;y"], ((A, True),)),
        ([f"{A}, {A};redact"], ((A, True),)),
        ([f"{A};redact, {B}", A], ((A, True), (B, False))),
    ],
)
def test_a_list_of_dids_is_read(values: list[str], accepted: tuple[tuple[DID, bool], ...] | None) -> None:
    if values and accepted is None:
        with pytest.raises(InvalidRequest):
            parse_accepted_labelers(values)
        return
    expected = None if accepted is None else AcceptedLabelers(tuple(Labeler(*each) for each in accepted))
    assert parse_accepted_labelers(values) == expected


@pytest.mark.parametrize(
    "text",
    [",", f"{A},", f",{A}", f"{A} {B}", f"{A};", f"{A};redact=1", f'{A};redact="true"', f"{A};Redact", f"({A} {B})", "1", "1.5", "?1", ":YQ==:", "@1", '%"did:plc:a"', "labeler.example.com", "did:plc", f"{A}#atproto_labeler", '""', f'"{A}', "é", "*", f"at://{A}", ", ".join(f"did:web:a{n}.example.com" for n in range(MAX_LABELERS + 1))],
)  # fmt: skip
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_accepted_labelers([text])
    assert HEADER in refused.value.message


@given(st.text())
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        parse_accepted_labelers([text])


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.booleans()), max_size=2, unique_by=lambda each: each[0]))
def test_what_is_said_is_read_as_it_was_meant(labelers: list[tuple[DID, bool]]) -> None:
    meant = tuple(Labeler(*each) for each in labelers)
    assert parse_accepted_labelers([labelers_text(meant)]) == AcceptedLabelers(meant)


@pytest.mark.parametrize(
    ("headers", "labelers"),
    [([], None), ([""], {}), ([f"{A};redact", B], {A: True, B: False})],
)
async def test_a_method_gets_them(headers: list[str], labelers: Any) -> None:
    response = await CLIENT.get("who", headers=[(HEADER, value) for value in headers])
    assert (response.status_code, response.json().get("labelers")) == (200, labelers)


async def test_nonsense_is_told_to_whoever_sent_it() -> None:
    response = await CLIENT.get("echo", headers={HEADER: "a;;"})
    assert (response.status_code, response.json()["error"]) == (400, "InvalidRequest")
