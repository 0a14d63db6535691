"""evaluator: reads metrics where they already are, judges rules, and opens, raises and closes incidents by itself."""

__version__ = "0.1.0"
