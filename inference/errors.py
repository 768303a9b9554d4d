"""What can go wrong between a video file and its poses, each with a stable code.

`code` is part of the contract (it ends up in `video_analysis_jobs.error_code`); the docstring is the default message.
`transient` says whether trying again, unchanged, may help.
"""

from __future__ import annotations

from typing import ClassVar


class InferenceError(Exception):
    """Pose extraction failed."""

    code: ClassVar[str] = "inference_failed"
    transient: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)


class VideoUnreadable(InferenceError):
    """The file is not a video that can be read."""

    code = "video_unreadable"


class VideoEmpty(VideoUnreadable):
    """The file is empty."""

    code = "video_empty"


class VideoTruncated(VideoUnreadable):
    """The file ends before its header is complete."""

    code = "video_truncated"


class ContainerNotAllowed(VideoUnreadable):
    """The file is of a kind that is not accepted: MP4/MOV, Matroska/WebM, AVI and MPEG-TS are."""

    code = "container_not_allowed"


class NoVideoStream(VideoUnreadable):
    """The file holds no video, only sound or data."""

    code = "no_video_stream"


class NoFrames(VideoUnreadable):
    """The video holds no frame that can be decoded."""

    code = "no_frames"


class FrameTooSmall(VideoUnreadable):
    """The picture is too small to show a person."""

    code = "frame_too_small"


class FrameTooLarge(VideoUnreadable):
    """The picture is larger than the limit."""

    code = "frame_too_large"


class VideoTooLong(VideoUnreadable):
    """The video is longer than the limit."""

    code = "video_too_long"


class NoPerson(InferenceError):
    """No person was found in the video."""

    code = "no_person"


class ModelUnknown(InferenceError):
    """No model of this name is in the catalogue."""

    code = "model_unknown"


class WeightsRejected(InferenceError):
    """The weights file is missing or its checksum is not the declared one."""

    code = "weights_rejected"


class NotInstalled(WeightsRejected):
    """What brings the model is not installed on this machine, or another build of it is."""

    transient = True  # the version is not to blame: it loads once somebody has installed it here


class BackendUnavailable(InferenceError):
    """This backend or precision cannot run on this machine."""

    code = "backend_unavailable"


class SourceUnavailable(InferenceError):
    """The source video could not be fetched."""

    code = "source_unavailable"
    transient = True


class SourceMissing(InferenceError):
    """The source video is not where it should be."""

    code = "source_missing"


class SourceTooLarge(InferenceError):
    """The source video is larger than the limit."""

    code = "source_too_large"


class SubjectNotFound(InferenceError):
    """Nobody was found at the point that names the athlete."""

    code = "subject_not_found"


class ExtractionCanceled(InferenceError):
    """The extraction was canceled by its caller."""

    code = "canceled"


class InferenceStopped(InferenceError):
    """Inference was shut down while the clip was in it; the clip itself is not at fault."""

    code = "inference_stopped"
    transient = True


class SegmentsUnsure(InferenceError):
    """A part of the video does not hold the pictures that its packets promise; it must be decoded as a whole."""

    code = "segments_unsure"


class RuntimeBroken(InferenceError):
    """The runtime's own state cannot be trusted any more; only a new process has a sound one."""

    code = "runtime_broken"
    transient = True


class OutOfMemory(InferenceError):
    """There was not enough memory to infer a single frame."""

    code = "out_of_memory"
    transient = True


class FrameAccountingError(InferenceError):
    """A frame was lost or counted twice; no result is better than a wrong one."""

    code = "frame_accounting"
    transient = True


class PosesUnreadable(InferenceError):
    """The file holds no poses that can be read."""

    code = "poses_unreadable"


class PosesInvalid(PosesUnreadable):
    """The arrays of the file do not fit together, or hold what cannot be."""

    code = "poses_invalid"


class SkeletonUnknown(PosesUnreadable):
    """The poses lack keypoints that the measurements need."""

    code = "skeleton_unknown"


class ContractBroken(InferenceError):
    """The model does not do on the golden photographs what a pose model must do."""

    code = "model_contract_broken"
