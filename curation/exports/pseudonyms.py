"""Names that say nothing to who has not the key: keyed HMACs, other ones for each recipient. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ingest.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

KEY_BYTES_MIN: Final = 16
NAMED: Final = ("device", "recording", "subject", "window")
"""The columns that name a device, a person, or what is made of such names."""
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """HMAC-SHA256 (RFC 2104) under a key, its first 64 bits as hex. The recipient is hashed along: two who get
    exports under the same key cannot join them."""

    key: bytes
    recipient: str = ""

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES_MIN:
            raise UsageError(
                f"pseudonyms: the key has {len(self.key)} bytes, {KEY_BYTES_MIN} are needed, as "
                "`openssl rand -hex 32 > KEYFILE` makes them"
            )

    def digest(self, kind: str, value: str) -> bytes:
        """32 bytes that depend on key, recipient, kind and value."""
        told = b"".join(len(part).to_bytes(8, "big") + part for part in (self.recipient.encode(), kind.encode()))
        return hmac.new(self.key, told + value.encode(), hashlib.sha256).digest()

    def of(self, kind: str, values: Iterable[str | None]) -> list[str | None]:
        """The pseudonym of each; of nothing nothing. Raises `UsageError` where two names get the same."""
        values = list(values)
        known = {value: self.digest(kind, value).hex()[:_DIGITS] for value in set(values) if value is not None}
        if len(set(known.values())) < len(known):
            raise UsageError(f"pseudonyms: two names of {kind} get the same; use another key")
        return [None if value is None else known[value] for value in values]

    def table(self, windows: pl.DataFrame) -> pl.DataFrame:
        """The windows with pseudonyms for all that names somebody. A recording's is that of its device and it."""
        import polars as pl

        named: dict[str, Sequence[str | None]] = {
            name: windows[name].cast(pl.String).to_list() for name in NAMED if name in windows.columns
        }
        named["recording"] = [f"{device}/{of}" for device, of in zip(named["device"], named["recording"], strict=True)]
        return windows.with_columns(pl.Series(name, self.of(name, values), pl.String) for name, values in named.items())
