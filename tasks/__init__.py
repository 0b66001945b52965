"""What can be asked of Ingestboard, and the truth about it: settings, ledger, ingestion, snapshots."""

__version__ = "0.1.0"
