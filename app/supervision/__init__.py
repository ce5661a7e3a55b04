"""What runs inside and around supervisord. Stands apart from the rooms and imports core only."""
