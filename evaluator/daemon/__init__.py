"""The only station that waits: it reads the clock, polls, commits, sends and reloads."""
