"""Graders as request bodies: their models, for jobs that learn by reward and for the graders' own routes.

That a further member is refused is inferred: the spec leaves graders open, creation refused one wherever it was seen.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from .body_types import Body, JsonObject, ShortCircuitDict, ShortCircuitList

SOURCE_CHARACTERS_AT_MOST = 256 * 1024
"""Vendor text gives a python grader's source 256 kB; that it is refused by its length is inferred."""

Number = int | Annotated[float, Field(allow_inf_nan=False)]
Metric = Literal[
    "cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"
]


class CacheBreakpoint(Body):
    """The end of what a prompt shares with others; without effect here. Source: the SDK's ResponseInputText of 3.57."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class TextItem(Body):
    """A text in a model's input: EvalItemContentText."""

    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class OutputTextItem(Body):
    """A text that a model gave, in a model's input: EvalItemContentOutputText."""

    type: Literal["output_text"]
    text: str


class ImageItem(Body):
    """An image in a model's input."""

    type: Literal["input_image"]
    image_url: str
    file_id: None = None  # spec: null in the example that scores an image's caption
    detail: str | None = None


class AudioData(Body):
    """The sound of an `AudioItem`, in base64."""

    data: str
    format: Literal["mp3", "wav"]


class AudioItem(Body):
    """A sound in a model's input."""

    type: Literal["input_audio"]
    input_audio: AudioData


# Tags of unions by the kind of the JSON value: an error then names what is wrong in one member, not in all of them.


def _item_tag(value: Any) -> str:
    return "text" if isinstance(value, str) else "object"


Item = Annotated[TextItem | OutputTextItem | ImageItem | AudioItem, Field(discriminator="type")]
ItemOrText = Annotated[Annotated[str, Tag("text")] | Annotated[Item, Tag("object")], Discriminator(_item_tag)]


Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[Item, Tag("object")] | Annotated[ShortCircuitList[ItemOrText], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else _item_tag(value)),
]


class EvalItem(Body):
    """One message to the model that judges. Source: spec EvalItem."""

    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    type: Literal["message"] = "message"

    def texts(self) -> list[str]:
        """Return the texts among its content; they may have templates in them."""
        content = self.content if isinstance(self.content, list) else [self.content]
        texts = (each for each in content if isinstance(each, str | TextItem | OutputTextItem))
        return [each if isinstance(each, str) else each.text for each in texts]


PassThreshold = Number | None
"""The reward from which a sample passes; echoed, and without further effect.

Printed for score_model (2025-05); vendor text has it for text_similarity and, Azure's, for multi and python; for
string_check it is inferred.
"""


class StringCheck(Body):
    """Two texts compared. Source: spec GraderStringCheck."""

    type: Literal["string_check"]
    name: str
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]
    pass_threshold: PassThreshold = None


class TextSimilarity(Body):
    """How like two texts are. Source: spec GraderTextSimilarity."""

    type: Literal["text_similarity"]
    name: str
    input: str
    reference: str
    evaluation_metric: Metric
    pass_threshold: PassThreshold = None


class Python(Body):
    """A function ``grade(sample, item)``. Source: spec GraderPython."""

    type: Literal["python"]
    name: str | None = None  # spec: required; a published output of the live service has one that was left out
    source: Annotated[str, Field(max_length=SOURCE_CHARACTERS_AT_MOST)]
    image_tag: str | None = None
    pass_threshold: PassThreshold = None


class SamplingParams(Body):
    """How the model that judges is sampled. Source: spec, ``max_completions_tokens`` spelt so."""

    seed: int | None = None
    top_p: Number | None = 1
    temperature: Number | None = None
    max_completions_tokens: Annotated[int, Field(ge=1)] | None = None
    # spec ReasoningEffort; the SDK of 3.57 has "max" as well
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class ScoreModel(Body):
    """A model that gives a number in `range`. Source: spec GraderScoreModel."""

    type: Literal["score_model"]
    name: str
    model: str
    input: ShortCircuitList[EvalItem]
    sampling_params: SamplingParams | None = None
    range: ShortCircuitList[Number] = Field([0, 1], min_length=2, max_length=2)
    pass_threshold: PassThreshold = None


class LabelModel(Body):
    """A model that gives a label; only inside `Multi`. Source: spec GraderLabelModel."""

    type: Literal["label_model"]
    name: str
    model: str
    input: ShortCircuitList[EvalItem]
    labels: ShortCircuitList[str]
    passing_labels: ShortCircuitList[str]


class LambdaFunction(Body):
    """The function of a `Lambda`, by its ARN."""

    function: str


class Lambda(Body):
    """An AWS Lambda function that gives a reward; a grader of Bedrock only (vendor text of 2026)."""

    type: Literal["lambda"]
    name: str | None = None
    function: Annotated[LambdaFunction, Field(alias="lambda")]


SubGrader = Annotated[
    StringCheck | TextSimilarity | Python | ScoreModel | LabelModel,
    Field(discriminator="type"),
]
"""A grader inside `Multi`."""


Graders = Annotated[
    Annotated[ShortCircuitDict[str, SubGrader], Tag("map")] | Annotated[ShortCircuitList[SubGrader], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "map"),
]


class Multi(Body):
    """Several graders whose rewards make one. Source: spec GraderMulti.

    Its graders are a map by name: one grader in its place is refused, although the spec's schema has that (settled in
    an issue of the Java SDK, 2026-09). A list, as in the spec's example, is taken; whether the service does is unknown.
    """

    type: Literal["multi"]
    name: str | None = None  # spec: required; vendor text's own request has none
    graders: Graders
    calculate_output: str
    pass_threshold: PassThreshold = None

    def sub_graders(self) -> dict[str, StringCheck | TextSimilarity | Python | ScoreModel | LabelModel]:
        """Return the graders inside by their names in `calculate_output`: those of the map, else their own."""
        if isinstance(self.graders, dict):
            return self.graders
        return {part.name or part.type: part for part in self.graders}


Grader = Annotated[
    StringCheck | TextSimilarity | Python | ScoreModel | Multi,
    Field(discriminator="type"),
]
"""A grader of a job, or of the graders' routes; a label_model cannot be one."""


class RunGraderBody(Body):
    """``POST …/graders/run``. Source: spec RunGraderRequest."""

    grader: Grader
    item: JsonObject | None = None
    model_sample: str


class ValidateGraderBody(Body):
    """``POST …/graders/validate``. Source: spec ValidateGraderRequest."""

    grader: Grader


def as_sent(grader: BaseModel) -> dict[str, Any]:
    """Return the grader as it came, nothing filled in; members in the order of the spec."""
    return grader.model_dump(mode="json", exclude_unset=True, by_alias=True)
