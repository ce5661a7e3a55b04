"""What others run for us."""

from typing import Annotated

from pydantic import Field

from app.core.config.fields import Env, Group, OptionalSecret, OptionalText


class LiveKitSettings(Group):
    """LiveKit. Off until its variables are set, all three together."""

    url: Annotated[OptionalText, Env("LIVEKIT_URL")] = Field(
        None, pattern=r"^wss?://", description="the server's address, ws:// or wss://"
    )
    api_key: Annotated[OptionalText, Env("LIVEKIT_API_KEY")] = Field(None, description="the key's name")
    api_secret: Annotated[OptionalSecret, Env("LIVEKIT_API_SECRET")] = Field(
        None, description="the key's secret"
    )


class StorageSettings(Group):
    """S3-compatible storage and Replicate. Each off until its variables are set."""

    s3_bucket: Annotated[OptionalText, Env("S3_BUCKET", "AWS_S3_BUCKET", "S3_BUCKET_NAME")] = Field(
        None, description="the bucket's name"
    )
    s3_access_key: Annotated[OptionalText, Env("S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID")] = Field(
        None, description="the key's id"
    )
    s3_secret_key: Annotated[OptionalSecret, Env("S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")] = Field(
        None, description="the key's secret"
    )
    s3_endpoint: Annotated[OptionalText, Env("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL")] = Field(
        None, pattern=r"^https?://", description="an address, where the storage is not AWS's own"
    )
    s3_region: Annotated[str, Env("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")] = Field(
        "us-east-1", description="a region"
    )
    s3_prefix: Annotated[str, Env("S3_PREFIX")] = Field(
        "",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*$",
        description="a folder of the bucket that no other deployment uses, with its slash, such as holdfast/",
    )
    replicate_token: Annotated[OptionalSecret, Env("REPLICATE_API_TOKEN", "REPLICATE_API_KEY")] = Field(
        None, description="a Replicate token"
    )


class SearchSettings(Group):
    """Semantic search. Off until the embeddings endpoint is set."""

    embeddings_url: Annotated[OptionalText, Env("EMBEDDINGS_URL")] = Field(
        None, pattern=r"^https?://", description="an OpenAI-compatible endpoint"
    )
    embeddings_key: Annotated[OptionalSecret, Env("EMBEDDINGS_API_KEY")] = Field(
        None, description="its bearer token"
    )
    embeddings_model: Annotated[str, Env("EMBEDDINGS_MODEL")] = Field(
        "text-embedding-3-small", description="the model's name"
    )
