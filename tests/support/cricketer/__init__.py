"""Synthetic cricketers: whole movements in 3-D with known truth, filmed by a pinhole camera and seen by a noisy model.

The athlete's space is % of height: X forward along the pitch, Y to the athlete's left, Z up.
"""
