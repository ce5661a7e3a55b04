"""The people and programs that own things."""

from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class User(Identified, Timestamped, Base):
    """An account."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
