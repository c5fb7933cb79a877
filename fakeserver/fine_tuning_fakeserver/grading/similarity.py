"""How like two texts are, by the metrics of a text_similarity grader; each is a kept library's, imported when used.

The spec names the metrics and nothing more. Vendor text adds that fuzzy_match is rapidfuzz's, and cosine an embedding
model's; which function, tokens, smoothing and weights the service takes is not known, so that is inferred. Nothing is
fetched at run time: tokens are cut by a regular expression (punkt would be a download), and meteor goes without
synonyms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec

from ..usage_errors import FakeUsageError

NEEDED = ("rapidfuzz", "nltk", "rouge_score")
CHARACTERS_AT_MOST = 10_000
"""How long each text may be (ours): fuzzy_match, meteor and rouge_l take time by the product of both lengths."""


def similarity(metric: str, text: str, reference: str) -> float:
    """From 0, nothing alike, to 1.

    Raises:
        FakeUsageError: a text is longer than the fake takes.
    """
    if max(len(text), len(reference)) > CHARACTERS_AT_MOST:
        raise FakeUsageError(f"text_similarity of the fake takes texts of at most {CHARACTERS_AT_MOST} characters")
    if metric in METRICS:
        return METRICS[metric](text, reference)
    return _rouge(metric.replace("_", "").replace("l", "L"), text, reference)


def require_libraries() -> None:
    """Refuse to go on without the libraries.

    Raises:
        FakeUsageError: one is not installed.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise FakeUsageError(
            f"text_similarity needs {', '.join(missing)}, not installed here: pip install 'fake-fine-tuning[graders]'"
        )


def _fuzzy_match(text: str, reference: str) -> float:
    """Weighted ratio of the texts in lower case without punctuation, as vendor text's own python grader has it."""
    from rapidfuzz import fuzz, utils

    return fuzz.WRatio(text, reference, processor=utils.default_process) / 100


def _bleu(text: str, reference: str) -> float:
    """Smoothed by method 4 (Chen and Cherry): without, no text of fewer than four words in a row scores at all."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method4
    return float(sentence_bleu([_tokens(reference)], _tokens(text), smoothing_function=smoothing))


def _gleu(text: str, reference: str) -> float:
    from nltk.translate.gleu_score import sentence_gleu

    return float(sentence_gleu([_tokens(reference)], _tokens(text)))


class EmptyWordNet:
    """Stands where nltk takes a WordNet, and knows no synonym of any word.

    # DIVERGES: WordNet is a download of its own, so words match when they are the same or have the same stem.
    """

    def synsets(self, word: str) -> list[object]:
        """The synonyms of *word*: none."""
        return []


def _meteor(text: str, reference: str) -> float:
    from nltk.translate.meteor_score import single_meteor_score

    return float(single_meteor_score(_tokens(reference), _tokens(text), wordnet=EmptyWordNet()))


def _cosine(text: str, reference: str) -> float:
    """The cosine of the texts' word counts.

    # DIVERGES: vendor text has an embedding model's (and for evals only); this one knows words, not meanings.
    """
    from nltk.cluster.util import cosine_distance

    counts = Counter(map(str.lower, _tokens(text))), Counter(map(str.lower, _tokens(reference)))
    if not all(counts):  # no words, no direction
        return 0.0
    words = sorted(counts[0] | counts[1])
    distance = cosine_distance([counts[0][word] for word in words], [counts[1][word] for word in words])
    return min(max(1 - float(distance), 0.0), 1.0)


def _rouge(kind: str, text: str, reference: str) -> float:
    """The F-measure, unstemmed; its library knows Latin letters and digits only."""
    from rouge_score.rouge_scorer import RougeScorer

    return float(RougeScorer([kind]).score(reference, text)[kind].fmeasure)


def _tokens(text: str) -> list[str]:
    """Words, and runs of what is neither word nor space."""
    from nltk.tokenize import wordpunct_tokenize

    return list(wordpunct_tokenize(text))


METRICS: dict[str, Callable[[str, str], float]] = {
    "fuzzy_match": _fuzzy_match,
    "bleu": _bleu,
    "gleu": _gleu,
    "meteor": _meteor,
    "cosine": _cosine,
}
