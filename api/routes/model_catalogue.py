"""The model catalogue over HTTP: what there is, and what aliases mean.

Registering opens weights and converts them, so it stays with `frontfoot models register`: this image holds neither
torch nor OpenVINO.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from api.context import PREFIX, Operator, Parts, Services
from api.model_schemas import (
    ALIAS_EXAMPLE,
    ALIAS_PATTERN,
    REFERENCE_PATTERN,
    AliasMoveRead,
    AliasRead,
    CanaryRead,
    ModelList,
    ModelRead,
    ModelSummary,
    Promotion,
    Rollback,
    WorkerModelRead,
)
from api.problems import Problem, responses
from models.errors import ModelNotInCatalogue, NotFound
from models.model_versions import ModelRef, ModelVersion

router = APIRouter(
    prefix=f"{PREFIX}/models", tags=["models"], responses=responses("unauthorized", "internal", "store_unavailable")
)

Alias = Annotated[str, Path(pattern=ALIAS_PATTERN, description="An alias.", examples=[ALIAS_EXAMPLE])]
Reference = Annotated[
    str,
    Path(pattern=REFERENCE_PATTERN, description="`name@version`, an alias, or a name: its newest version."),
]

BODY = ("bad_request", "request_too_large", "validation_failed")


@router.get("")
def list_models(parts: Parts, _: Operator) -> ModelList:
    """List every version, retired ones too, what the aliases mean, canaries, and what workers run."""
    aliases = parts.catalogue.aliases()
    return ModelList(
        models=[ModelSummary.of(version, _meaning(aliases, version)) for version in parts.catalogue.list()],
        aliases={alias: str(ref) for alias, ref in sorted(aliases.items())},
        canaries=[CanaryRead.of(canary) for canary in parts.canaries.list()],
        workers=[WorkerModelRead.of(word) for word in parts.worker_models.list()],
    )


@router.get("/{reference}", responses=responses("not_found", "validation_failed"))
def get_model(parts: Parts, _: Operator, reference: Reference) -> ModelRead:
    """Read one version: where it came from, what was measured when it was let in, and which aliases ever meant it."""
    return _shown(parts, _found(parts, reference))


@router.post("/{reference}/retire", responses=responses("not_found", "validation_failed", "model_in_use"))
def retire_model(parts: Parts, _: Operator, reference: Reference) -> ModelRead:
    """Let nobody ask for a version any more; what it measured stays. A second time changes nothing."""
    return _shown(parts, parts.catalogue.retire(_found(parts, reference).ref))


@router.get("/aliases/{alias}", responses=responses("not_found", "validation_failed"))
def get_alias(parts: Parts, _: Operator, alias: Alias) -> AliasRead:
    """Read what an alias means, and every move of it."""
    return _alias(parts, alias)


@router.post(
    "/aliases/{alias}/promote",
    responses=responses(*BODY, "model_unknown", "model_refused", "not_found"),
)
def promote_model(parts: Parts, _: Operator, request: Request, alias: Alias, body: Promotion) -> AliasRead:
    """Let an alias mean a version. Where it already does, nothing changes."""
    try:
        ref = ModelRef.parse(body.model)
    except ValueError as error:
        raise Problem("validation_failed", str(error)) from None
    version = parts.catalogue.find(ref)
    if version.artifact is not None:
        parts.store.stat(version.artifact.bucket, version.artifact.key)  # workers must find it
    parts.catalogue.promote(
        ref,
        alias=alias,
        by=_by(request),
        force=body.force,
        reason=body.reason,
        policy=parts.promotion_policy,
    )
    return _alias(parts, alias)


@router.post("/aliases/{alias}/rollback", responses=responses(*BODY, "not_found", "model_refused"))
def rollback_alias(parts: Parts, _: Operator, request: Request, alias: Alias, body: Rollback) -> AliasRead:
    """Let an alias mean again what it meant before its last promotion."""
    _alias(parts, alias)
    parts.catalogue.rollback(alias, by=_by(request), reason=body.reason)
    return _alias(parts, alias)


def _found(parts: Services, reference: str) -> ModelVersion:
    """A version, retired or not where it is named in full. Raises NotFound."""
    try:
        return (
            parts.catalogue.find(ModelRef.parse(reference)) if "@" in reference else parts.catalogue.resolve(reference)
        )
    except (ModelNotInCatalogue, ValueError) as error:
        raise NotFound(str(error)) from None


def _shown(parts: Services, version: ModelVersion) -> ModelRead:
    aliases = parts.catalogue.aliases()
    moves = [move for alias in sorted(aliases) for move in parts.catalogue.history(alias)]
    concerned = [move for move in moves if version.ref in {move.before, move.after}]
    return ModelRead.of_version(
        version,
        _meaning(aliases, version),
        moves=concerned,
        canaries=parts.canaries.list(str(version.ref)),
        workers=parts.worker_models.list(),
    )


def _alias(parts: Services, alias: str) -> AliasRead:
    """Raises NotFound where it means nothing."""
    meant = parts.catalogue.aliases().get(alias)
    if meant is None:
        raise NotFound(f"There is no alias {alias!r}.")
    moves = [AliasMoveRead.of(move) for move in parts.catalogue.history(alias)]
    return AliasRead(alias=alias, model=str(meant), moves=moves)


def _meaning(aliases: dict[str, ModelRef], version: ModelVersion) -> list[str]:
    return sorted(alias for alias, ref in aliases.items() if ref == version.ref)


def _by(request: Request) -> str:
    """Who asks, as the log names them."""
    key_id: str = request.state.identity.key_id
    return key_id
