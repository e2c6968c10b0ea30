"""Where the server listens."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from pathlib import Path

import pytest

from ingest.errors import UsageError
from tests.support.certificates import Authority
from timeline.server.serving import Serving, check_tls, listen
from timeline.site import Settings


def test_what_is_no_pair_of_certificate_and_key_is_told_so_and_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "own").sign("own", "IP:127.0.0.1")
    _, other = Authority(tmp_path / "other").sign("other", "IP:127.0.0.1")
    locked = tmp_path / "locked.key"
    words = ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(words, check=True, capture_output=True, timeout=200)
    assert check_tls(certificate, key) == (certificate, key)
    for pair, told in (
        ((tmp_path / "none.pem", key), f"--tls-cert {tmp_path}/none.pem: no such file"),
        ((certificate, tmp_path / "none.key"), f"--tls-key {tmp_path}/none.key: no such file"),
        ((certificate, other), "found no certificate and key in PEM that belong together (KEY_VALUES_MISMATCH)"),
        ((key, certificate), "found no certificate and key in PEM that belong together"),
        ((certificate, locked), f"--tls-key {locked}: the key wants a password"),
    ):
        with pytest.raises(UsageError, match=re.escape(told)):
            check_tls(*pair)


def test_what_is_sent_does_not_wait_for_what_was_sent_before(tmp_path: Path) -> None:
    """Answers in two parts came 40 ms late: the second part waited until the first one was acknowledged."""
    serving = Serving(Settings("pump", f"segments:{tmp_path}/log"), "127.0.0.1", 0, None, "op-1")

    async def connect() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen(serving) as listening:
            async with await asyncio.start_server(hear, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
                found = await seen
                writer.close()
        return found

    assert asyncio.run(connect()) == 1
