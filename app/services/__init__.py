"""What the system does: plain functions on a session, without requests and status codes."""
