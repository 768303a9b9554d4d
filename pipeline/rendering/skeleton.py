"""Draw a pose on a picture: what the model saw, and nothing that it did not see."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray, Skeleton

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Okabe and Ito's palette: the athlete's sides stay apart for colour-blind readers too. RGB, as all pictures here.
LEFT: Colour = (240, 150, 20)
RIGHT: Colour = (70, 170, 240)
CENTRE: Colour = (250, 250, 240)
OUTLINE: Colour = (20, 24, 28)

MIN_CONFIDENCE = 0.3
"""Below it a keypoint counts as not seen, as everywhere in this project."""

_SHIFT = 4  # cv2 draws at 1/16 pixel, so that a small athlete's skeleton does not jitter by whole pixels
_FAR = 1 << 14  # a wild keypoint stays within what cv2's fixed-point numbers hold


def draw_skeleton(image: Image, keypoints: FloatArray, confidence: FloatArray, skeleton: Skeleton) -> None:
    """Draw one pose into an (H, W, 3) RGB picture, in place.

    `keypoints` (K, 2) are in this picture's own pixels; NaN, and `confidence` (K,) below `MIN_CONFIDENCE`, is not
    drawn, nor is a limb that lacks an end. Left is orange, right is blue, what joins the sides is white. Lines are as
    thick as suits the height of what is drawn.
    """
    shown = np.isfinite(keypoints).all(axis=1) & (np.nan_to_num(confidence) >= MIN_CONFIDENCE)
    if not shown.any():
        return
    width = line_width(keypoints[shown])
    points = np.round(np.clip(np.nan_to_num(keypoints), -_FAR, _FAR) * (1 << _SHIFT)).astype(int).tolist()
    limbs = [(a, b) for a, b in skeleton.limbs if shown[a] and shown[b]]
    colours = side_colours(skeleton)
    for a, b in limbs:
        cv2.line(image, points[a], points[b], OUTLINE, width + 2, cv2.LINE_AA, _SHIFT)
    for a, b in limbs:
        colour = colours[a] if colours[a] == colours[b] else CENTRE
        cv2.line(image, points[a], points[b], colour, width, cv2.LINE_AA, _SHIFT)
    for joint in np.flatnonzero(shown):
        _dot(image, points[joint], width, colours[joint])


def resized(image: Image, size: tuple[int, int]) -> Image:
    """A new picture of this (width, height), to be drawn on; the given one stays as it is."""
    shrink = image.shape[1] / size[0]
    # Averaging areas is four times as slow as interpolating, and shows only where a picture shrinks a lot.
    method = cv2.INTER_AREA if shrink > 2 else cv2.INTER_LINEAR if shrink >= 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=method).astype(np.uint8, copy=False)


def line_width(keypoints: FloatArray) -> int:
    """Pixels, 1 to 8, for a person whose seen keypoints (N, 2) are these."""
    extent = float(np.ptp(keypoints, axis=0).max())
    return int(np.clip(round(extent / 110), 1, 8))


def side_colours(skeleton: Skeleton) -> list[Colour]:
    """The colour of each keypoint."""
    colours = [CENTRE] * len(skeleton.keypoint_names)
    for left, right in skeleton.left_right:
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def _dot(image: Image, centre: list[int], width: int, colour: Colour) -> None:
    # A line of no length is a disc; cv2's own circles are diamonds when they are this small.
    diameter = 2 * width + 1
    cv2.line(image, centre, centre, OUTLINE, diameter + 2, cv2.LINE_AA, _SHIFT)
    cv2.line(image, centre, centre, colour, diameter, cv2.LINE_AA, _SHIFT)
