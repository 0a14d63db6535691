"""Receivers: how each is told of an incident, in its own shape and within its own limits."""
