"""Which file system a path lies on: `flock`, `link()` and fsync promise what sensorloom rests on only on local ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    [
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fhgfs",
        "gfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
    ]
)
NETWORK_FUSE: Final = frozenset(
    [
        "ceph-fuse",
        "curlftpfs",
        "davfs",
        "davfs2",
        "gcsfuse",
        "geesefs",
        "glusterfs",
        "goofys",
        "gvfsd-fuse",
        "juicefs",
        "mount-s3",
        "mountpoint-s3",
        "nfs",
        "rclone",
        "s3fs",
        "s3ql",
        "seaweedfs",
        "smbnetfs",
        "sshfs",
    ]
)


MEMORY: Final = frozenset(("tmpfs", "ramfs"))
"""What lies there is gone with the power."""


def filesystem_at(mountinfo: str, path: str) -> str:
    """The type of the file system that holds the absolute path, by the text of `/proc/self/mountinfo` (proc(5)).

    Of several mounts that hold it, the deepest counts, of several on one point the last; "" where none does.
    """
    found, depth = "", -1
    for line in mountinfo.splitlines():
        mount, separator, source = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _unescape(fields[4]).rstrip("/")
        if (path == point or path.startswith(point + "/")) and len(point) >= depth:
            found, depth = source.split(" ")[0], len(point)
    return found


def is_network(filesystem: str) -> bool:
    """Whether a file system type, as mountinfo names it, is one whose files another machine keeps."""
    kind, _, helper = filesystem.partition(".")
    return filesystem in NETWORK or (kind in ("fuse", "fuseblk") and helper in NETWORK_FUSE)


def filesystem_of(path: Path) -> str:
    """The type of the file system that `path` (which need not exist yet) lies on; "" where nobody says."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    return filesystem_at(mountinfo, str(path.resolve()))


def network_filesystem(path: Path) -> str | None:
    """The type of the network file system that `path` lies on, as `filesystem_of`; None where it is local."""
    filesystem = filesystem_of(path)
    return filesystem if is_network(filesystem) else None


def _unescape(text: str) -> str:
    """Mount points have blanks, tabs, newlines and backslashes as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
