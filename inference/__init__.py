"""Pixels in, poses out: decoding, the pose model, batching, tracking. Knows no job and no database."""
