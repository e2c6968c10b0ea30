"""Certificates for tests, made by the openssl command: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder: Final = folder
        self.certificate: Final = folder / "ca.pem"
        self._key = folder / "ca.key"
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        (folder / "ca.conf").write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index.txt\nserial = {folder}/serial\n"
            f"new_certs_dir = {folder}\ndefault_md = sha256\npolicy = any\nunique_subject = no\n"
            "copy_extensions = copy\n[any]\ncommonName = supplied\n"
        )
        self._openssl(
            *["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"],
            *f"-subj /CN={folder.name} -keyout {self._key} -out {self.certificate}".split(),
        )

    def sign(self, name: str, host: str, begin: str = "", end: str = "") -> tuple[Path, Path]:
        """A certificate and its key, for a host (`IP:127.0.0.1`, `DNS:broker.example`), valid for two days, or between
        two times like `20200101000000Z`."""
        key, request, certificate = (self._folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
        self._openssl(
            *f"req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN={name}".split(),
            *f"-addext subjectAltName={host} -keyout {key} -out {request}".split(),
        )
        times = ["-startdate", begin, "-enddate", end] if begin else ["-days", "2"]
        self._openssl(
            *f"ca -batch -notext -config {self._folder}/ca.conf -cert {self.certificate} -keyfile {self._key}".split(),
            *f"-in {request} -out {certificate}".split(),
            *times,
        )
        return certificate, key

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=200)
