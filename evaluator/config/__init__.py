"""TOML text to values, or to every problem at once. It never knows the state of anything."""
