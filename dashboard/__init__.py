"""The dashboard watches and asks. It never imports `workers` or `tasks.ingest`, and streamlit is imported only here."""
