"""How the bytes of one document become text: one file per family of formats, behind `tasks.ingest.load.read`.

A reader takes a path and yields pieces of text in the document's order. It knows nothing of jobs, queues
or chunks, and what it raises on garbage is turned into a sentence for a person at the door.
"""
