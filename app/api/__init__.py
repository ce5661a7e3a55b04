"""The routes: each parses a request, calls one service and returns a schema."""
