"""The archive: every record of a log as Parquet, and what a timeline draws of it; see `ingest.archive.operator`."""
