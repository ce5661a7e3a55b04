"""What is stored, by whom, and whether disk and database agree about it."""

import uuid
from typing import Literal

from pydantic import Field

from app.schemas.base import BaseSchema, Timestamp


class Findings(BaseSchema):
    """Objects of which one thing is not as it should be."""

    count: int = 0
    keys: list[str] = Field(default_factory=list, description="The first of them.")


class StorageReport(BaseSchema):
    """What a sweep found when it held the objects against the rows that refer to them."""

    finished_at: Timestamp
    seconds: float
    objects: int = Field(description="Objects that were there.")
    bytes: int = Field(description="Their sizes together.")
    referenced: int = Field(description="Objects that rows refer to.")
    missing: Findings = Field(description="A row refers to it, and it is not there.")
    wrong_size: Findings = Field(description="It has another size than its row says.")
    damaged: Findings = Field(description="Its content is another than its key says.")
    unreferenced: int = Field(
        description="No row refers to it, and it stays: an upload may be under way, or see `kept`."
    )
    removed: int = Field(description="Strays that were removed: no row has referred to them for a day.")
    kept: bool = Field(
        description="Strays were not removed: the database refers to nothing, so it may be the wrong one."
    )
    leftovers: int = Field(description="Unfinished uploads and work of dead processes that were removed.")
    verified: int = Field(description="Objects whose content was hashed this time.")

    @property
    def disagrees(self) -> bool:
        """Whether something is lost or damaged; strays alone are no fault."""
        return bool(self.missing.count or self.wrong_size.count or self.damaged.count or self.kept)


class MediaUsage(BaseSchema):
    """What an account stores; equal files count once each."""

    files: int
    bytes: int


class OwnUsage(MediaUsage):
    """What one's own account stores, and may."""

    quota: int | None = Field(description="Bytes that it may store; null where there is no limit.")


class AccountUsage(MediaUsage):
    """One account of those that store the most."""

    user_id: uuid.UUID
    email: str


class StorageResponse(BaseSchema):
    """The storage as an administrator sees it."""

    kind: Literal["folder", "bucket"] = Field(description="Where objects are.")
    files: int = Field(description="Of all accounts.")
    bytes: int = Field(description="Of all accounts; equal files are one object, and count once each here.")
    largest: list[AccountUsage] = Field(description="The accounts that store the most.")
    report: StorageReport | None = Field(description="Of the last sweep; null before the first.")
