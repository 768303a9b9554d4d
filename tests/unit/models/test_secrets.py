from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from models.database import Database
from models.jobs import Owner
from models.secrets import OwnerSecrets


def test_a_secret_is_made_once_and_kept(database: Database, jane: Owner) -> None:
    made = OwnerSecrets(database).get(jane, "webhooks")
    assert len(made) >= 43, "256 bits"
    assert OwnerSecrets(database).get(jane, "webhooks") == made


def test_every_owner_and_purpose_has_its_own(database: Database, jane: Owner) -> None:
    secrets = OwnerSecrets(database)
    organisation = Owner(owner_type="org", owner_id=jane.owner_id)
    made = {secrets.get(owner, purpose) for owner in (jane, organisation) for purpose in ("webhooks", "links")}
    assert len(made) == 4


def test_many_who_need_it_first_at_once_get_the_same(database: Database, jane: Owner) -> None:
    together = Barrier(8)

    def get(_: int) -> str:
        secrets = OwnerSecrets(database)
        together.wait()
        return secrets.get(jane, "links")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(get, range(8)))) == 1


def test_rotating_makes_another_for_that_purpose_alone(database: Database, jane: Owner) -> None:
    secrets = OwnerSecrets(database)
    webhooks, links = secrets.get(jane, "webhooks"), secrets.get(jane, "links")
    rotated = secrets.rotate(jane, "webhooks")
    assert rotated != webhooks
    assert secrets.get(jane, "webhooks") == rotated
    assert secrets.get(jane, "links") == links


def test_a_secret_that_was_never_needed_can_be_rotated(database: Database, jane: Owner) -> None:
    rotated = OwnerSecrets(database).rotate(jane, "webhooks")
    assert OwnerSecrets(database).get(jane, "webhooks") == rotated
