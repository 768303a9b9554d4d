"""Settings → the options that each room is handed. Heavy rooms are imported only by the functions that need them."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from frontfoot import model_choice
from frontfoot.settings import Settings
from models.limits import read_limits
from models.promotion import Policy
from models.s3 import S3Options
from models.storage import StorageOptions
from models.webhook_urls import WebhookPolicy

if TYPE_CHECKING:
    from api.jwts import JwtOptions
    from inference.catalog import RegisteredModel
    from inference.extract import ExtractorOptions
    from models.artifacts import ArtifactStore
    from models.model_versions import ModelVersion
    from pipeline.cluster import ClusterOptions
    from pipeline.housekeeping import HousekeepingOptions
    from pipeline.stages import Limits


def storage_options(settings: Settings) -> StorageOptions:
    """Database and artifact store."""
    s3 = None
    if settings.store == "s3":
        s3 = S3Options(
            bucket=settings.s3_bucket,
            endpoint_url=settings.s3_endpoint_url,
            allowed_buckets=settings.s3_allowed_buckets,
        )
    return StorageOptions(
        database_url=settings.database_url,
        folder=settings.data_dir / "artifacts",
        s3=s3,
        lease_s=settings.lease_s,
        max_attempts=settings.max_attempts,
        max_active_jobs=settings.max_active_jobs,
    )


def webhook_policy(settings: Settings) -> WebhookPolicy:
    """Where webhooks may go."""
    return WebhookPolicy.of(settings.webhook_allowed_networks)


def promotion_policy(settings: Settings) -> Policy | None:
    """What moving `production` needs; None: nothing. Raises ValueError with what is wrong in the file."""
    path = settings.promotion_policy
    return None if path is None else read_limits(path, Policy)


def jwt_wanted(settings: Settings) -> bool:
    """Whether the operator said anything of JSON Web Tokens."""
    return bool(settings.jwt_secret.get_secret_value() or settings.jwt_jwks_file or settings.jwt_issuer)


def jwt_options(settings: Settings) -> JwtOptions | None:
    """Which JSON Web Tokens are believed; None: none. Raises ValueError."""
    from api.jwts import JwtOptions

    if not jwt_wanted(settings):
        return None
    return JwtOptions(
        algorithm=settings.jwt_algorithm,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        secret=settings.jwt_secret.get_secret_value(),
        jwks_file=settings.jwt_jwks_file,
    )


def extractor_options(settings: Settings) -> ExtractorOptions:
    """The pose model and how it runs: a file that the settings name, or what they mean in the catalogue, fetched.

    Raises ModelNotInCatalogue, WeightsRejected, and what the store and the database raise.
    """
    if model_choice.is_file(settings):
        return _running(settings, settings.model, None)
    version = model_choice.chosen_version(settings)
    with closing(storage_options(settings).open()) as storage:
        return options_of(settings, version, storage.store)


def options_of(settings: Settings, version: ModelVersion, store: ArtifactStore) -> ExtractorOptions:
    """A version of the catalogue, fetched, and how it runs. Raises WeightsRejected, and what the store raises."""
    from inference.errors import WeightsRejected

    if settings.model_sha256 not in {None, version.source_sha256}:
        raise WeightsRejected(f"{version.ref} has the checksum {version.source_sha256}")
    return _running(settings, version.ref.name, model_choice.registered(version, store))


def _running(settings: Settings, name: str, registered: RegisteredModel | None) -> ExtractorOptions:
    from inference.extract import ExtractorOptions

    return ExtractorOptions(
        model=name,
        sha256=settings.model_sha256,
        registered=registered,
        backend=settings.backend,
        precision=settings.precision,
        threads=settings.cpu_threads,
        cache_dir=settings.cache_dir,
    )


def version_options(settings: Settings, ref: str) -> ExtractorOptions:
    """As `extractor_options`, of a `name@version` of the catalogue whatever the settings' own model is."""
    return extractor_options(settings.model_copy(update={"model": ref, "model_sha256": None}))


def limits(settings: Settings) -> Limits:
    """What the operator allows a clip to be."""
    from inference.video import VideoLimits
    from pipeline.rendering.render import RenderLimits
    from pipeline.stages import Limits

    video = VideoLimits(max_duration_s=settings.max_clip_s, max_pixels=settings.max_clip_pixels)
    return Limits(
        video=video,
        render=RenderLimits(max_overlay_s=settings.max_overlay_s, threads=settings.cpu_threads, video=video),
        max_source_bytes=settings.max_upload_bytes,
    )


def cluster_options(settings: Settings) -> ClusterOptions:
    """Ray and the pose actors."""
    from pipeline.cluster import ClusterOptions

    return ClusterOptions(
        address=settings.ray_address,
        actors=settings.actors,
        actor_gpus=settings.actor_gpus,
        clips_per_actor=settings.clips_per_actor,
        extractor=extractor_options(settings),
    )


def housekeeping_options(settings: Settings) -> HousekeepingOptions:
    """What is kept, and for how long."""
    from pipeline.housekeeping import HousekeepingOptions

    def days(kept: float | None) -> timedelta | None:
        return None if kept is None else timedelta(days=kept)

    return HousekeepingOptions(
        lease_s=settings.lease_s,
        keep_artifacts=days(settings.keep_artifacts_days),
        keep_jobs=days(settings.keep_jobs_days),
        webhook_policy=webhook_policy(settings),
    )
