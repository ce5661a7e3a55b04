"""What runs under Celery: a parent that sweeps, children that run jobs, a beat that triggers."""
