"""A player over time, as it goes over the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from models.progress import MetricProgress, SessionDocument
from models.requests import Mode


class PlayerSessionRead(SessionDocument):
    """One session of a player's. `label` is its title, `date` the day on which it was made: when it was filmed nobody
    says.
    """

    session_id: str
    job_id: str
    """Whose results these are: of this discipline the last that was done."""


class PlayerDiscipline(BaseModel):
    """What can be followed in one discipline."""

    mode: Mode
    sessions: list[PlayerSessionRead]
    """The oldest first; `metrics` names them by their place here, from 0."""
    metrics: tuple[MetricProgress, ...]


class LeftOutRead(BaseModel):
    """Results of a session that names the player and cannot be followed."""

    session_id: str
    job_id: str
    reason: str


class PlayerProgress(BaseModel):
    """A player over time. Empty `disciplines`: nothing is done yet."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PLAYER_PROGRESS]})

    player_id: str
    disciplines: list[PlayerDiscipline]
    left_out: list[LeftOutRead]
    older: bool = Field(description="Whether the player has sessions before these.")
