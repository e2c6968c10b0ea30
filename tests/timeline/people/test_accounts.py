"""Accounts, tokens, sessions, and how often one may guess."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ingest.errors import CorruptError, UsageError
from timeline.people.accounts import SESSION_NS, Limiter, People

PASSWORD = "correct horse battery"
NOW_NS = 1_767_225_600 * 10**9


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path / "people")


def test_a_password_is_checked_and_not_kept(people: People) -> None:
    people.add("anna", "annotator", PASSWORD)
    account = people.check("anna", PASSWORD)
    assert account is not None
    assert account.role == "annotator"
    assert people.check("anna", PASSWORD + "!") is None
    assert people.check("bob", PASSWORD) is None
    kept = (people.folder / "accounts.json").read_text()
    assert PASSWORD not in kept
    assert "$argon2id$" in kept
    assert stat.S_IMODE(people.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("user", "role", "password", "words"),
    [
        ("", "viewer", PASSWORD, "can be no name"),
        ("../anna", "viewer", PASSWORD, "can be no name"),
        ("rules", "viewer", PASSWORD, "rules' marks have the lane of that name"),
        ("anna", "viwer", PASSWORD, 'Did you mean "viewer"'),
        ("anna", "viewer", "short", "has 5 characters; use 12 or more"),
        ("anna", "viewer", "anna-anna-anna", "holds the name"),
    ],
)
def test_who_cannot_be_added(people: People, user: str, role: str, password: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        people.add(user, role, password)
    assert people.accounts() == {}


def test_a_session_ends_with_its_time_its_account_its_password_and_at_sign_out(people: People) -> None:
    people.add("anna", "annotator", PASSWORD)

    def signed_in() -> str:
        secret, _ = people.sign_in_account(people.accounts()["anna"], NOW_NS)
        assert people.session(secret, NOW_NS) is not None
        return secret

    secret = signed_in()
    assert people.session(secret, NOW_NS + SESSION_NS - 1) is not None
    assert people.session(secret, NOW_NS + SESSION_NS) is None
    secret = signed_in()
    people.sign_out(secret)
    assert people.session(secret, NOW_NS) is None
    secret = signed_in()
    people.add("anna", "annotator", PASSWORD + PASSWORD)
    assert people.session(secret, NOW_NS) is None
    secret = signed_in()
    people.add("anna", "viewer", None)
    session = People(people.folder).session(secret, NOW_NS)  # as another server has it: the role of now
    assert session is not None
    assert session.role == "viewer"
    people.remove("anna")
    assert people.session(secret, NOW_NS) is None


def test_the_one_time_links_sessions_are_over_when_there_are_accounts(people: People) -> None:
    secret, session = people.sign_in("guest", "admin", NOW_NS)
    assert people.session(secret, NOW_NS) == session
    people.add("anna", "viewer", PASSWORD)
    assert people.session(secret, NOW_NS) is None


@pytest.mark.parametrize("secret", ["", "x", "../accounts.json", "\0", "a" * 10_000])
def test_what_is_no_cookie_is_no_session(people: People, secret: str) -> None:
    people.sign_in("guest", "admin", NOW_NS)
    assert people.session(secret, NOW_NS) is None


def test_a_token_is_its_accounts_and_shown_once(people: People) -> None:
    people.add("button", "annotator", None)
    assert people.check("button", "") is None
    first = people.make_token("button", "hall", NOW_NS)
    found = people.of_token(first)
    assert found is not None
    assert found.user == "button"
    assert first not in (people.folder / "accounts.json").read_text()
    second = people.make_token("button", "hall", NOW_NS)  # of the same name: it replaces
    assert people.of_token(first) is None
    assert people.of_token(second) is not None
    with pytest.raises(UsageError, match='nobody called "buton". Did you mean "button"|nobody called "buton"'):
        people.make_token("buton", "hall", NOW_NS)
    people.remove("button")
    with pytest.raises(UsageError, match='nobody called "button"; there are no accounts: `label user add` makes one'):
        people.remove("button")
    with pytest.raises(UsageError, match="accounts.json: found a file; name the folder of accounts"):
        People(people.folder / "accounts.json").accounts()


def test_sessions_that_are_over_are_swept(people: People) -> None:
    people.sign_in("guest", "admin", NOW_NS)
    live, _ = people.sign_in("guest", "admin", NOW_NS + SESSION_NS)
    (people.folder / "sessions" / "torn").write_text("{")
    people.sweep(NOW_NS + SESSION_NS)
    assert len(list((people.folder / "sessions").iterdir())) == 1
    assert people.session(live, NOW_NS + SESSION_NS) is not None


def test_damaged_accounts_are_told(people: People) -> None:
    people.add("button", "viewer", None)
    (people.folder / "accounts.json").write_text('{"accounts": [{"user": 1}]}')
    with pytest.raises(CorruptError, match=r"accounts.json: Expected .str."):
        people.accounts()


def test_who_guesses_waits() -> None:
    limiter = Limiter(3, 60)
    for _ in range(3):
        assert limiter.wait_ns("anna", 1000) == 0
        limiter.failed("anna", 1000)
    assert limiter.wait_ns("anna", 1000) == 60
    assert limiter.wait_ns("bob", 1000) == 0
    assert limiter.wait_ns("anna", 1060) == 0
    limiter.failed("anna", 1060)
    assert limiter.wait_ns("anna", 1061) == 59
    limiter.forgive("anna")
    assert limiter.wait_ns("anna", 1061) == 0
