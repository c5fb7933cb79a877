"""Exploration: run code under test again and again, each time with one misfortune at one request.

`misfortunes` has what can go wrong, `disturbance` makes it happen in one run, `runs` keeps what became of a run,
`verdicts` judges it, `explorer` chooses the runs, `report` shows what was found.
"""
