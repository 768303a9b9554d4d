"""What a promotion needs where the settings name a policy. Loads nothing that looks at pixels."""

from __future__ import annotations

from contextlib import closing

from frontfoot import wiring
from frontfoot.settings import Settings
from models.comparisons import Comparisons
from models.errors import ModelRefused
from models.model_versions import PRODUCTION, ModelRef
from pipeline.comparison.documents import Totals
from pipeline.comparison.policy import read_policy


def check_policy(current: ModelRef | None, ref: ModelRef, alias: str) -> None:
    """Raises ModelRefused where there is a policy, and the newest comparison of `current` with `ref` does not meet it.

    Only `production` is guarded: other aliases are for trying. ValueError says what is wrong in the policy's file.
    """
    settings = Settings()
    if settings.promotion_policy is None or alias != PRODUCTION or current is None or current == ref:
        return
    policy = read_policy(settings.promotion_policy)
    with closing(wiring.storage_options(settings).open()) as storage:
        recorded = Comparisons(storage.database).newest(current, ref)
    if recorded is None:
        raise ModelRefused(
            f"The policy asks for a comparison, and there is none: `frontfoot models compare {current} {ref} …`. "
            "--force promotes it all the same, and is recorded."
        )
    unmet = policy.unmet(Totals.model_validate(recorded.totals))
    if unmet:
        moment = recorded.compared_at.isoformat(timespec="seconds")
        raise ModelRefused(f"By the comparison of {moment}: {'; '.join(unmet)}. --force promotes it all the same.")
