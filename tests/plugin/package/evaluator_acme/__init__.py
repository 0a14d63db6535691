"""What ACME adds to evaluator."""
