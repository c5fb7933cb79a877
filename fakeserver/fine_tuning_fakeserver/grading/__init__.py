"""Grading of a model's output. It knows no account; only `python_runner` starts a process."""
