"""One file a revision; `models.tables.SCHEMA_REVISIONS` lists them in order."""
