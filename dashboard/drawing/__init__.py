"""Pages as HTML and charts: from rows to markup, without a widget and without the ledger."""
