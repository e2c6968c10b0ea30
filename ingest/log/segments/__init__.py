"""The embedded log `segments`: no server to install, and what one machine's disk can do."""

from ingest.log.segments.log import SegmentLog

__all__ = ["SegmentLog"]
