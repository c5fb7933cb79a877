"""`fake-fine-tuning jobs`: create, watch and steer jobs, with the fake, OpenAI, Azure, or a compatible service."""

from __future__ import annotations

from ..commands import CommandGroup
from .context import SERVICE
from .create import create
from .show import cancel, checkpoints, events, list_jobs, metrics, pause, resume, show, wait

EPILOG = """\
The key is never an argument, as `ps` shows these: it comes from OPENAI_API_KEY, AZURE_OPENAI_API_KEY, or the variable
that key_env names in fine_tuning.toml. `--provider fake` needs none, and talks to `fake-fine-tuning serve`.

Results go to stdout, all else to stderr. Exit codes: 0 success; 1 refused or not reached, the job that was followed did
not succeed, or results could not be written; 2 wrong usage or configuration; 124 timeout of wait; 130 interrupted.
"""

_COMMANDS = [create, list_jobs, show, events, checkpoints, cancel, pause, resume, wait, metrics]
command = CommandGroup("jobs", _COMMANDS, params=[*SERVICE], help="Create, watch and steer jobs.", epilog=EPILOG)
