"""The thin HTTP face: reads and submits jobs, loads no model and no cluster."""
