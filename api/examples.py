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
    },
]

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
    "attempt": 1,
    "max_attempts": 3,
    "available_at": "2026-05-04T09:31:30Z",
    "cancel_requested_at": None,
    "error_code": None,
    "error_message": None,
    "created_at": "2026-05-04T09:31:30Z",
    "updated_at": "2026-05-04T09:32:05Z",
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
}

ARTIFACT: dict[str, Any] = {
    "name": "report.html",
    "size_bytes": 481220,
    "media_type": "text/html; charset=utf-8",
    "url": f"/api/coaches/plus/analysis-jobs/{JOB_ID}/artifacts/report.html",
}
