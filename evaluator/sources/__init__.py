"""Where samples come from: one adapter for each kind of system, and what adapters share."""
