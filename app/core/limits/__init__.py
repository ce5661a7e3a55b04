"""How often something may be done: counted in Redis for all processes, in this one while Redis is away."""

from app.core.limits.allowances import Allowances, Standing
from app.core.limits.counters import Count, Counters
from app.core.limits.windows import Limit, Window

__all__ = ["Allowances", "Count", "Counters", "Limit", "Standing", "Window"]
