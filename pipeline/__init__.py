"""Poses in, a stored job out: the task graph, the worker, biomechanics, coaching, rendering."""
