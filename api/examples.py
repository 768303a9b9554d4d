"""The documents that OpenAPI shows. A test validates each against its schema, and against the problem that it names."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

SESSION_ID = "7f8b6c1e-6f0a-4a55-9a53-0d1c6f7f3c11"
JOB_ID = "0b9d7c55-52f4-4a3e-8d3b-1a0b6f1c2d3e"
_FOLDER = f"sessions/{SESSION_ID}/source"


SESSION_CREATE: dict[str, Any] = {
    "title": "Nets, Tuesday",
    "notes": "New run-up.",
    "session_type": "bowling",
    "camera_view": "side",
    "player_ids": ["p-17"],
}

SESSION_UPDATE: dict[str, Any] = {"notes": "Front foot lands later.", "camera_view": None}

UPLOAD_ID = "5c0e5a52-6f3f-4b63-8a4e-2f1d3d0f7a90"
_UPLOAD: dict[str, Any] = {
    "upload_id": UPLOAD_ID,
    "session_id": SESSION_ID,
    "method": "PUT",
    "url": f"/api/coaches/plus/videos/upload/{UPLOAD_ID}/content?expires=1777973400&signature=3f0c5d",
    "parts": None,
    "headers": {},
    "expires_at": "2026-05-05T09:30:00Z",
}
UPLOAD: dict[str, Any] = _UPLOAD
UPLOAD_IN_PARTS: dict[str, Any] = _UPLOAD | {
    "url": None,
    "parts": [
        {"number": 1, "size_bytes": 67108864, "url": "https://clips.s3.amazonaws.com/sessions/…?partNumber=1&…"},
        {"number": 2, "size_bytes": 1048576, "url": "https://clips.s3.amazonaws.com/sessions/…?partNumber=2&…"},
    ],
}
UPLOAD_INITIATE: dict[str, Any] = {
    "session_id": SESSION_ID,
    "size_bytes": 68157440,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "content_type": "video/mp4",
    "filename": "nets.mp4",
}
UPLOAD_COMPLETE: list[JsonValue] = [
    {"upload_id": UPLOAD_ID},
    {"upload_id": UPLOAD_ID, "parts": [{"number": 1, "etag": '"f5c7"'}, {"number": 2, "etag": '"95eb"'}]},
]

SESSION: dict[str, Any] = {
    "id": SESSION_ID,
    "owner_type": "coach",
    "owner_id": "jane",
    "title": "Nets, Tuesday",
    "notes": "New run-up.",
    "session_type": "bowling",
    "camera_view": "side",
    "player_ids": ["p-17"],
    "s3_bucket": "local",
    "s3_key": f"{_FOLDER}/5c0e5a52-6f3f-4b63-8a4e-2f1d3d0f7a90.mp4",
    "file_size_bytes": 4214003,
    "status": "uploaded",
    "created_at": "2026-05-04T09:30:00Z",
    "updated_at": "2026-05-04T09:31:12Z",
}


JOBS_CREATE: list[JsonValue] = [
    {"analysis_mode": "bowling"},
    {
        "analysis_mode": "batting",
        "camera_view": "front",
        "sample_fps": 60,
        "include_frames": False,
        "deep_enabled": True,
        "model": "yolo11n-pose",
        "options": {
            "height_m": 1.82,
            "slowmo_factor": 4,
            "subject": [{"x": 812.5, "y": 440, "time_s": 1.2}],
            "handedness": "right",
            "audience": "player",
        },
        "priority": 5,
        "tags": ["nets", "2026-05"],
        "metadata": {"camera": "phone"},
        "webhook_url": "https://example.org/hooks/frontfoot",
        "webhook_events": ["job.done", "job.failed"],
    },
]

BATCH_LINES: list[JsonValue] = [
    {"session_id": SESSION_ID, "analysis_mode": "bowling", "metadata": {"row": "17"}},
    {"source_uri": "s3://clips/2026/05/nets.mp4", "title": "Nets", "analysis_mode": "batting", "tags": ["nets"]},
]

BATCH_SUMMARY: dict[str, Any] = {
    "id": "5f0c8a52-9a51-4c07-8a7e-6f6f0c4f9d11",
    "created_at": "2026-05-04T09:31:30Z",
    "lines": 3,
    "accepted": 2,
    "cancel_requested_at": None,
}

BATCH: dict[str, Any] = BATCH_SUMMARY | {
    "is_terminal": False,
    "counts": {
        "awaiting_upload": 0,
        "queued": 1,
        "quick_running": 0,
        "quick_done": 0,
        "deep_running": 1,
        "done": 0,
        "failed": 0,
        "canceled": 0,
    },
    "rejected": [
        {
            "line": 3,
            "code": "validation_failed",
            "detail": "analysis_mode: Field required",
            "errors": [{"field": "analysis_mode", "code": "missing", "detail": "Field required"}],
        }
    ],
}

_REPORT_TEXT = "**Overall Assessment**: One point to work on; 7 of 18 measures could be taken."
JOB_SUMMARY: dict[str, Any] = {
    "id": JOB_ID,
    "session_id": SESSION_ID,
    "owner_type": "coach",
    "owner_id": "jane",
    "analysis_mode": "bowling",
    "camera_view": "side",
    "sample_fps": None,
    "include_frames": False,
    "deep_enabled": True,
    "priority": 0,
    "model": "yolo11n-pose",
    "resolved_model": "yolo11n-pose@1",
    "options": {
        "height_m": None,
        "slowmo_factor": 1.0,
        "subject": [],
        "handedness": None,
        "rules": None,
        "audience": "player",
    },
    "s3_bucket": "local",
    "s3_key": f"{_FOLDER}/5c0e5a52-6f3f-4b63-8a4e-2f1d3d0f7a90.mp4",
    "status": "done",
    "stage": "DONE",
    "progress_pct": 100,
    "is_terminal": True,
    "retry_after_ms": None,
    "attempt": 1,
    "max_attempts": 3,
    "available_at": "2026-05-04T09:31:30Z",
    "cancel_requested_at": None,
    "error_code": None,
    "error_message": None,
    "error": None,
    "attempts": [{"attempt": 1, "status": "done", "ended_at": "2026-05-04T09:32:05Z", "error": None}],
    "tags": ["nets"],
    "metadata": {"camera": "phone"},
    "webhook_url": None,
    "webhook_events": [],
    "batch_id": None,
    "created_at": "2026-05-04T09:31:30Z",
    "updated_at": "2026-05-04T09:32:05Z",
    "progress_updated_at": "2026-05-04T09:32:04Z",
    "started_at": "2026-05-04T09:31:31Z",
    "completed_at": "2026-05-04T09:32:05Z",
    "quick_started_at": "2026-05-04T09:31:31Z",
    "quick_completed_at": "2026-05-04T09:31:40Z",
    "deep_started_at": "2026-05-04T09:31:40Z",
    "deep_completed_at": "2026-05-04T09:32:05Z",
}

JOB: dict[str, Any] = JOB_SUMMARY | {
    "quick_findings": None,
    "quick_report": None,
    "deep_findings": {
        "schema_version": 1,
        "findings": [],
        "watches": [],
        "overall_level": "low",
        "coverage": {"measured": 7, "applicable": 18},
        "basis": "partial",
    },
    "deep_report": {
        "schema_version": 1,
        "text": _REPORT_TEXT,
        "sections": [{"id": "summary", "title": "Summary", "text": _REPORT_TEXT}],
    },
    "quick_results_s3_key": f"{_FOLDER}/analysis/{JOB_ID}/1/quick_results.json",
    "deep_results_s3_key": f"{_FOLDER}/analysis/{JOB_ID}/1/deep_results.json",
    "queue_position": None,
    "eta_s": None,
}

EVENTS = f"""retry: 3000

event: progress
data: {{"id": "{JOB_ID}", "status": "quick_running", "stage": "QUICK", "progress_pct": 20, "attempt": 1, …}}
id: 1-QUICK-20-0

event: quick_result
data: {{"id": "{JOB_ID}", "status": "deep_running", "quick_findings": {{…}}, …}}
id: 1-QUICK_DONE-50-1777887100000

event: done
data: {{"id": "{JOB_ID}", "status": "done", "deep_findings": {{…}}, …}}
id: 1-DONE-100-1777887100000

"""

ARTIFACT: dict[str, Any] = {
    "name": "report.html",
    "size_bytes": 481220,
    "media_type": "text/html; charset=utf-8",
    "url": f"/api/coaches/plus/analysis-jobs/{JOB_ID}/artifacts/report.html?expires=1777890725&signature=Zm9vdHdvcms",
    "expires_at": "2026-05-04T10:32:05Z",
}

PLAYER_PROGRESS: dict[str, Any] = {
    "player_id": "p-17",
    "disciplines": [
        {
            "mode": "bowling",
            "sessions": [
                {
                    "label": "Nets, Tuesday",
                    "date": "2026-05-05",
                    "view": "side",
                    "off_square_deg": 6.0,
                    "real_fps": 120.0,
                    "model": "yolo11n-pose",
                    "handedness": "right",
                    "repetitions": 6,
                    "session_id": SESSION_ID,
                    "job_id": JOB_ID,
                }
            ],
            "metrics": [
                {
                    "metric": "front_knee_min",
                    "label": "Front knee, most bent after contact",
                    "unit": "deg",
                    "points": [{"session": 0, "value": 141.2, "expected_error": 8.4, "n": 6, "status": "measurable"}],
                    "steps": [],
                    "overall": None,
                }
            ],
        }
    ],
    "left_out": [],
    "older": False,
}

PROMOTION: dict[str, Any] = {"model": "club@3", "force": False, "reason": "fewer mirrored bodies on our own clips"}

ROLLBACK: dict[str, Any] = {"reason": "bowlers' knees were lost"}

_MOVE: dict[str, Any] = {
    "alias": "production",
    "number": 4,
    "kind": "promote",
    "from": "club@2",
    "to": "club@3",
    "moved_by": "key:4f1c",
    "moved_at": "2026-05-04T10:00:00Z",
    "forced": False,
    "reason": "fewer mirrored bodies on our own clips",
}
ALIAS: dict[str, Any] = {"alias": "production", "model": "club@3", "moves": [_MOVE]}
_VERSION: dict[str, Any] = {
    "model": "club@3",
    "aliases": ["production"],
    "state": "ready",
    "format": "onnx",
    "precision": None,
    "skeleton": "coco-17",
    "source_sha256": "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0",
    "licence": "AGPL-3.0",
    "created_by": "anna",
    "created_at": "2026-05-04T09:30:00Z",
    "retired_at": None,
}
_WORKER: dict[str, Any] = {
    "worker_id": "node7-4711-0c5a9d31",
    "follows": "production",
    "model": "club@3",
    "state": "ready",
    "wanted": None,
    "error_code": None,
    "error_message": None,
    "canary": "club@4",
    "canary_state": "ready",
}
_CANARY: dict[str, Any] = {
    "model": "club@3",
    "alias": "production",
    "beside": "club@2",
    "share": 0.1,
    "limits": {
        "jobs_min": 20,
        "failures_max": 5,
        "errors_more_max": 0.05,
        "nobody_more_max": 0.05,
        "found_ratio_min": 0.95,
        "measured_ratio_min": 0.9,
        "time_ratio_max": 1.5,
    },
    "started_at": "2026-05-02T10:00:00Z",
    "started_by": "anna",
    "forced": False,
    "ended_at": "2026-05-04T10:00:00Z",
    "ended_by": "key:4f1c",
    "reason": "promoted",
    "judged_at": "2026-05-04T09:59:41Z",
    "figures": {
        "jobs": 41,
        "jobs_beside": 200,
        "failures": 0,
        "errors_more": 0.0,
        "nobody_more": 0.0,
        "found_ratio": 1.01,
        "measured_ratio": 1.0,
        "time_ratio": 1.1,
    },
}
MODELS: dict[str, Any] = {
    "models": [_VERSION],
    "aliases": {"production": "club@3"},
    "canaries": [_CANARY],
    "workers": [_WORKER],
}
MODEL: dict[str, Any] = _VERSION | {
    "source": "s3://models/club-3.onnx",
    "notes": None,
    "input_sizes": {"multiple_of": 32, "batch": "any"},
    "keypoints": ["nose", "left_eye", "right_eye"],
    "report": {"contract": {"people": 4, "keypoint_error_pct_height": 0.36}},
    "moves": [_MOVE],
    "canaries": [_CANARY],
    "workers": [_WORKER],
}
