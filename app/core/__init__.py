"""The ground floor: configuration, logging, connections. Imports nothing of the rooms above."""
