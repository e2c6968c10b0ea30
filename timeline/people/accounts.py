"""Who may use a timeline: accounts with their roles, tokens of programs, sessions of browsers.

All of it lies in a folder beside the site that only its owner can read, so that several servers share it: who signed in
at one is signed in at the next. Passwords are kept as Argon2id hashes, tokens and sessions as SHA-256 of 256 random
bits. Time comes in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, get_args

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from ingest.errors import CorruptError, UsageError
from ingest.files import make_folder, put
from ingest.settings import suggest
from timeline.protocol import Role

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PASSWORD_MIN: Final = 12
"""Characters; length is what helps (NIST SP 800-63B, 3.1.1.2)."""
SESSION_NS: Final = 12 * 3_600 * 10**9
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
RULES: Final = "rules"
"""The lane of what rules marked."""
_FILE: Final = "accounts.json"
_SESSIONS: Final = "sessions"
_hasher: Final = PasswordHasher()


class Token(msgspec.Struct, frozen=True):
    """What a program signs in with."""

    name: str
    sha256: str
    made_ns: int


class Account(msgspec.Struct, frozen=True):
    """A person, or a device with a button."""

    user: str
    role: Role
    password: str = ""
    """An Argon2id hash; "": signs in with tokens only."""
    tokens: tuple[Token, ...] = ()


class _Accounts(msgspec.Struct, frozen=True):
    accounts: tuple[Account, ...] = ()


class SignedIn(msgspec.Struct, frozen=True):
    """A session, as it is kept."""

    user: str
    role: Role
    csrf: str
    expires_ns: int
    proof: str
    """Of the account as it was: another password, and the session is over. "": made by the one-time link."""


def check_name(user: str) -> None:
    """Raise `UsageError` where nobody can be called so."""
    if not _NAME.fullmatch(user):
        raise UsageError(f'"{user}" can be no name; use letters, digits and . _ @ -, 64 at most')
    if user == RULES:
        raise UsageError(f'"{RULES}" can be no name: rules\' marks have the lane of that name; use another one')


class People:
    """The accounts and sessions in a folder; it is made when something is to be kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[tuple[int, int, int], dict[str, Account]] | None = None

    # Accounts.

    def accounts(self) -> dict[str, Account]:
        """All of them, by name.

        Raises:
            CorruptError: the file is damaged.
            UsageError: the folder is a file.
        """
        path = self.folder / _FILE
        try:
            found = path.stat()
        except FileNotFoundError:
            return {}
        except NotADirectoryError:
            raise UsageError(f"{self.folder}: found a file; name the folder of accounts, SITE/people") from None
        stamp = found.st_mtime_ns, found.st_ino, found.st_size
        if self._read is None or self._read[0] != stamp:
            try:
                kept = msgspec.json.decode(path.read_bytes(), type=_Accounts)
            except msgspec.MsgspecError as error:
                raise CorruptError(f"{path}: {error}; restore it from a backup") from None
            self._read = stamp, {account.user: account for account in kept.accounts}
        return self._read[1]

    def add(self, user: str, role: str, password: str | None) -> None:
        """Add a person, or give one another role or password; None: the password stays, or there is none.

        Raises:
            UsageError: the name, role or password can be none.
        """
        check_name(user)
        known = next((it for it in ROLES if it == role), None)
        if known is None:
            raise UsageError(f'--role: unknown role "{role}"{suggest(role, ROLES)}')
        if password is not None and len(password) < PASSWORD_MIN:
            raise UsageError(f"the password has {len(password)} characters; use {PASSWORD_MIN} or more")
        if password is not None and user.lower() in password.lower():
            raise UsageError("the password holds the name; use another one")
        before = self.accounts().get(user, Account(user, known))
        hashed = before.password if password is None else _hasher.hash(password)
        self._keep(Account(user, known, hashed, before.tokens))

    def remove(self, user: str) -> None:
        """Remove a person: sessions and tokens end with the account. Raises `UsageError` where there is none."""
        self._known(user)
        self._put([account for account in self.accounts().values() if account.user != user])

    def make_token(self, user: str, name: str, now_ns: int) -> str:
        """A new token, which is shown this once; one of this name is replaced. Raises `UsageError`."""
        account = self._known(user)
        secret = secrets.token_urlsafe(32)
        others = tuple(token for token in account.tokens if token.name != name)
        token = Token(name, _hashed(secret), now_ns)
        self._keep(msgspec.structs.replace(account, tokens=(*others, token)))
        return secret

    def check(self, user: str, password: str) -> Account | None:
        """The account whose password this is. Takes some 50 ms and 64 MB, whoever it is."""
        account = self.accounts().get(user)
        hashed = account.password if account is not None and account.password else _nobody()
        try:
            _hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return None
        return account if account is not None and account.password else None

    def of_token(self, secret: str) -> Account | None:
        """The account that has this token."""
        hashed = _hashed(secret)
        for account in self.accounts().values():
            if any(secrets.compare_digest(token.sha256, hashed) for token in account.tokens):
                return account
        return None

    # Sessions.

    def sign_in(self, user: str, role: Role, now_ns: int, proof: str = "") -> tuple[str, SignedIn]:
        """A new session: its secret, for the cookie, and what is kept of it."""
        secret = secrets.token_urlsafe(32)
        session = SignedIn(user, role, secrets.token_urlsafe(24), now_ns + SESSION_NS, proof)
        folder = self._folder(_SESSIONS)
        put(folder / _hashed(secret), msgspec.json.encode(session))
        return secret, session

    def sign_in_account(self, account: Account, now_ns: int) -> tuple[str, SignedIn]:
        """A new session of an account."""
        return self.sign_in(account.user, account.role, now_ns, _proof(account))

    def session(self, secret: str, now_ns: int) -> SignedIn | None:
        """The session of a cookie, with the role that the account has now; None: it is over, or never was."""
        if not secret:
            return None
        path = self.folder / _SESSIONS / _hashed(secret)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=SignedIn)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        if found.expires_ns <= now_ns:
            path.unlink(missing_ok=True)
            return None
        accounts = self.accounts()
        if not found.proof:
            return None if accounts else found  # the one-time link was for a site without accounts
        account = accounts.get(found.user)
        if account is None or _proof(account) != found.proof:
            return None
        return msgspec.structs.replace(found, role=account.role)

    def sign_out(self, secret: str) -> None:
        """End a session, everywhere."""
        (self.folder / _SESSIONS / _hashed(secret)).unlink(missing_ok=True)

    def sweep(self, now_ns: int) -> None:
        """Remove what is kept of sessions that are over."""
        for path in (self.folder / _SESSIONS).glob("*"):
            try:
                is_over = msgspec.json.decode(path.read_bytes(), type=SignedIn).expires_ns <= now_ns
            except FileNotFoundError:
                continue
            except msgspec.MsgspecError:
                is_over = True
            if is_over:
                path.unlink(missing_ok=True)

    def _known(self, user: str) -> Account:
        accounts = self.accounts()
        if user not in accounts:
            others = suggest(user, accounts) if accounts else "; there are no accounts: `label user add` makes one"
            raise UsageError(f'{self.folder}: there is nobody called "{user}"{others}')
        return accounts[user]

    def _keep(self, account: Account) -> None:
        self._put([*(it for it in self.accounts().values() if it.user != account.user), account])

    def _put(self, accounts: Sequence[Account]) -> None:
        kept = _Accounts(tuple(sorted(accounts, key=lambda it: it.user)))
        put(self._folder("") / _FILE, msgspec.json.format(msgspec.json.encode(kept), indent=2))

    def _folder(self, name: str) -> Path:
        for folder in (self.folder, self.folder / name):
            if not folder.is_dir():
                make_folder(folder)
                folder.chmod(0o700)
        return self.folder / name


@cache
def _nobody() -> str:
    """Is checked where there is no such person: who guesses names learns nothing from how long it takes."""
    return _hasher.hash(secrets.token_hex(16))


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _proof(account: Account) -> str:
    return _hashed(f"{account.user}\n{account.password}")


class Limiter:
    """How often somebody may try in vain: `most` times, then once in `every_ns`. Time comes in."""

    def __init__(self, most: int, every_ns: int) -> None:
        self._most = most
        self._every_ns = every_ns
        self._until: dict[str, int] = {}

    def wait_ns(self, key: str, now_ns: int) -> int:
        """How long `key` has to wait; 0: it may try."""
        ahead = self._until.get(key, 0) - now_ns
        return max(0, ahead - (self._most - 1) * self._every_ns)

    def failed(self, key: str, now_ns: int) -> None:
        """It tried in vain."""
        if len(self._until) >= 10_000:
            self._until = {name: until for name, until in self._until.items() if until > now_ns}
        self._until[key] = max(self._until.get(key, 0), now_ns) + self._every_ns

    def forgive(self, key: str) -> None:
        """It was right: take one failure back."""
        self._until[key] = self._until.get(key, 0) - self._every_ns
