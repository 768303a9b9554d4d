"""Everything that is stored: rows, documents, the job queue, artifacts."""
