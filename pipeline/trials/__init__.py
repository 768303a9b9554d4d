"""Finished jobs measured once more by another version of the model, beside them, and what that would change."""
