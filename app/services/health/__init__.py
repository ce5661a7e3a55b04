"""How this system is: constant in cost, shared between all who ask at once."""

from app.services.health.probes import Health
from app.services.health.reports import detailed, overall, readiness

__all__ = ["Health", "detailed", "overall", "readiness"]
