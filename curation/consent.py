"""What must be said of people before their data go to anybody, or become a version."""

from __future__ import annotations

from ingest.errors import UsageError
from windowing.config import FILE, DatasetConfig
from windowing.plan import missing_consent


def require_consent(config: DatasetConfig, what: str) -> None:
    """Raise `UsageError` where a dataset holds personal data, and its dataset.toml does not say on what ground;
    `what` is what somebody wanted to make of it, as in "export"."""
    missing = missing_consent(config.plan, config.privacy)
    if missing:
        raise UsageError(
            f"{what}: {FILE} says personal = true, and does not say {', '.join(missing)}; write it there, and run "
            "`sensorloom window run -c` with it"
        )
