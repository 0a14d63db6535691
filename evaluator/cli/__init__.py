"""A command each: parse, call one station, print. What two commands need belongs into a station below."""
