"""How similar two texts are, by the metrics of a text_similarity grader; each comes from a library, imported when used.

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

LIBRARIES = ("rapidfuzz", "nltk", "rouge_score")
CHARACTERS_AT_MOST = 10_000
"""How long each text may be (ours): fuzzy_match, meteor and rouge_l take time by the product of both lengths."""


def similarity(metric: str, text: str, reference: str) -> float:
    """Return the similarity of two texts, from 0, nothing alike, to 1.

    Raises:
        FakeUsageError: a text is too long.
    """
    if max(len(text), len(reference)) > CHARACTERS_AT_MOST:
        raise FakeUsageError(
            f"the texts of text_similarity must have at most {CHARACTERS_AT_MOST} characters; got more"
        )
    if metric in METRICS:
        return METRICS[metric](text, reference)

    from rouge_score.rouge_scorer import RougeScorer  # it knows Latin letters and digits only

    kind = metric.replace("_", "")
    return float(RougeScorer([kind]).score(reference, text)[kind].fmeasure)  # unstemmed


def require_libraries() -> None:
    """Raise if a library that is needed is not installed.

    Raises:
        FakeUsageError: one is not installed.
    """
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise FakeUsageError(
            f"text_similarity needs {', '.join(missing)}, not installed here: pip install 'fake-fine-tuning[graders]'"
        )


def _fuzzy_match(text: str, reference: str) -> float:
    # Vendor text's own python grader does so: the weighted ratio, in lower case without punctuation.
    from rapidfuzz import fuzz, utils

    return fuzz.WRatio(text, reference, processor=utils.default_process) / 100


def _bleu(text: str, reference: str) -> float:
    # Smoothed by method 4 (Chen and Cherry): without it, a text without four matching words in a row scores 0.
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method4
    return float(sentence_bleu([_tokens(reference)], _tokens(text), smoothing_function=smoothing))


def _gleu(text: str, reference: str) -> float:
    from nltk.translate.gleu_score import sentence_gleu

    return float(sentence_gleu([_tokens(reference)], _tokens(text)))


def _rouge_l(text: str, reference: str) -> float:
    # The library's own table of both lengths takes seconds in Python; the longest common subsequence is the same.
    from rapidfuzz.distance import LCSseq
    from rouge_score.tokenize import tokenize

    words, wanted = tokenize(text, None), tokenize(reference, None)
    common: int = LCSseq.similarity(words, wanted)
    return 2 * common / (len(words) + len(wanted)) if common else 0.0


class EmptyWordNet:
    """A WordNet, as nltk takes one, without synonyms.

    # DIVERGES: WordNet is a download of its own, so words match when they are the same or have the same stem.
    """

    def synsets(self, word: str) -> list[object]:
        """Return the synonyms of *word*: none."""
        return []


def _meteor(text: str, reference: str) -> float:
    from nltk.translate.meteor_score import single_meteor_score

    return float(single_meteor_score(_tokens(reference), _tokens(text), wordnet=EmptyWordNet()))


def _cosine(text: str, reference: str) -> float:
    """Return the cosine of the texts' word counts.

    # DIVERGES: vendor text has an embedding model's (and for evals only); this one knows words, not meanings.
    """
    from nltk.cluster.util import cosine_distance

    counts = Counter(map(str.lower, _tokens(text))), Counter(map(str.lower, _tokens(reference)))
    if not all(counts):  # no words, no direction
        return 0.0
    words = sorted(counts[0] | counts[1])
    distance = cosine_distance([counts[0][word] for word in words], [counts[1][word] for word in words])
    return min(max(1 - float(distance), 0.0), 1.0)


def _tokens(text: str) -> list[str]:
    """Split into words, and runs of what is neither word nor space."""
    from nltk.tokenize import wordpunct_tokenize

    return list(wordpunct_tokenize(text))


METRICS: dict[str, Callable[[str, str], float]] = {
    "fuzzy_match": _fuzzy_match,
    "bleu": _bleu,
    "gleu": _gleu,
    "meteor": _meteor,
    "cosine": _cosine,
    "rouge_l": _rouge_l,
}
