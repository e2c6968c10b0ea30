"""Network file systems are told from local ones by the text of mountinfo."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.mounts import filesystem_at, is_network, network_filesystem

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
31 27 0:40 / /mnt/nas rw,relatime shared:2 master:1 - nfs4 10.0.0.2:/export rw,vers=4.2
32 31 254:1 / /mnt/nas/cache rw - xfs /dev/vdb rw
33 27 0:41 / /mnt/with\040blank rw - cifs //server/share rw
34 27 0:42 / /home/me/remote rw,nosuid - fuse.sshfs me@host:/ rw
35 27 0:43 / /twice rw - ext4 /dev/vdc rw
36 35 0:44 / /twice rw - 9p share rw
37 27 0:45 / /mnt/stick rw - fuseblk.ntfs-3g /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("path", "filesystem", "network"),
    [
        ("/", "ext4", False),
        ("/var/lib/sensorloom", "ext4", False),
        ("/mnt/nas", "nfs4", True),
        ("/mnt/nas/log/readings", "nfs4", True),
        ("/mnt/nas2/log", "ext4", False),
        ("/mnt/nas/cache/log", "xfs", False),
        ("/mnt/with blank/log", "cifs", True),
        ("/home/me/remote/log", "fuse.sshfs", True),
        ("/twice/log", "9p", True),
        ("/mnt/stick/log", "fuseblk.ntfs-3g", False),
    ],
)
def test_the_deepest_and_last_mount_counts(path: str, filesystem: str, network: bool) -> None:
    assert filesystem_at(MOUNTINFO, path) == filesystem
    assert is_network(filesystem) is network


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "1 2 3 4 - ext4", "22 27 0:21 / /proc rw - proc proc rw\n"])
def test_no_mount_no_type(text: str) -> None:
    assert filesystem_at(text, "/var") == ""


def test_a_path_that_is_not_there_yet_is_judged_by_what_is(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path / "not" / "there" / "yet") is None
