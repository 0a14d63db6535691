"""`python -m evaluator` is the command `evaluator`."""

from evaluator.cli.main import app

if __name__ == "__main__":
    app(prog_name="evaluator")
