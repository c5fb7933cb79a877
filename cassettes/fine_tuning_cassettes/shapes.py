"""What secrets look like, whoever sent them, and what stands for them."""

from __future__ import annotations

import re

from .named import SCRUBBED

KEY, ORGANIZATION, PROJECT, USER = "sk-scrubbed", "org-scrubbed", "proj_scrubbed", "user-scrubbed"
REQUEST = "req_scrubbed"
MASKED = "sk-****bbed"
"""How errors quote `KEY`: the service shows the ends of a wrong key."""

ENDS = re.compile(r"(?<![\w-])([\w-]++)(\*{2,}|\.{3}|…|\\u2026)([\w-]*)")
"""A key of which an error shows the ends."""

_RANDOM = r"(?:(?=[\w-]*\d)|(?=[\w-]*[a-z])(?=[\w-]*[A-Z]))"
_TOKEN = r"(?:(?=[^\s\"',;\\=]*\d)|(?=[^\s\"',;\\=]*[a-z])(?=[^\s\"',;\\=]*[A-Z]))[^\s\"',;\\=]{6,}=*"
"""A secret has a digit, or letters of both cases: what people call things, as "my-org-support", is none."""

# What secrets look like. Each is replaced by something that does not, or by itself. Each begins at the beginning of a
# word, or at what is rare: else a long word would be looked at from every letter on.
PATTERNS = (
    (re.compile(rf"(?<![\w-])(?:sk|sess|rk|pk)-{_RANDOM}[A-Za-z0-9_-]{{16,}}"), KEY),
    (re.compile(rf"(?<![\w-])org-{_RANDOM}[A-Za-z0-9-]{{10,}}"), ORGANIZATION),
    (re.compile(rf"(?<![\w-])proj[_-]{_RANDOM}[A-Za-z0-9]{{7,}}"), PROJECT),
    (re.compile(r"(?<![\w-])user-[A-Za-z0-9]{16,}"), USER),
    (re.compile(r"(?<![\w-])req_[A-Za-z0-9]{16,}"), REQUEST),
    (re.compile(r"\bft:([^:\s\"/]+):(?!personal:|:)[^:\s\"/]+:"), rf"ft:\1:{ORGANIZATION}:"),
    (re.compile(r"\bft%3A([^:\s\"/%]+)%3A(?!personal%3A|%3A)[^:\s\"/%]+%3A", re.I), rf"ft%3A\1%3A{ORGANIZATION}%3A"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"), SCRUBBED),
    (re.compile(rf"(?<!\w)(?i:bearer)\s+{_TOKEN}"), f"Bearer {SCRUBBED}"),
    (
        re.compile(
            r"(?<![\w-])(?:hf_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
            r"|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{30,}|whsec_[A-Za-z0-9+/=]{16,})"
        ),
        SCRUBBED,
    ),
    (re.compile(r"(?<=//)[^/\s:@\"]+:[^/\s@\"]+@"), ""),
    (
        re.compile(r"(?<=//)[\w-]+(?=\.(?:(?:openai|cognitiveservices|services\.ai)\.azure|blob\.core\.windows)\.)"),
        SCRUBBED,
    ),
)
