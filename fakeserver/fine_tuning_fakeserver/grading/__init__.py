"""Grading: what a grader makes of a model's output. It knows no account; `python_process` alone starts a process."""
