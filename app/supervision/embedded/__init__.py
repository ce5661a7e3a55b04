"""PostgreSQL and Redis as supervised programs, for a machine that has neither."""
