"""The JSON of `GET /v3/marketing/stats/automations/{id}/links`, checked and repaired at the edge.

The shapes are those of SendGrid's published description of the Marketing Campaigns statistics API ("Get Automation
Click Tracking Stats by ID"), widened by what its siblings were seen to answer: `results` null, `_metadata` empty or
missing. Unknown fields are ignored. Numbers are counts: whole, from 0 to 2**53, beyond which Prometheus's
64-bit floats cannot hold them.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, NotRequired, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, ValidationError
from typing_extensions import TypedDict

from exporter.errors import InvalidResponseError

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TAG: Final = re.compile(r"<[^<>]*(>|$)")
_SURROGATES: Final = re.compile(
    r"(?<!\\)(?P<escaped>(?:\\\\)*+)"
    r"(?:(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Surrogates in JSON's escapes, pairs or halves (RFC 8259, 7 and 8.2), with the escaped backslashes before them."""
_JSON_BEGINS: Final = re.compile(rb"[ \t\r\n\xef\xbb\xbf]*[\[{]")
_SEARCHED: Final = 8192
_MOST_WORDS: Final = 120
_LONGEST_TYPE: Final = 60
_LONGEST_EXPLANATION: Final = 500
MOST_ROWS: Final = 20_000
"""Rows of one page: 400 times the 50 that SendGrid gives at most, for an API that ignores page_size."""
_LARGEST: Final = 2**53
_SELF: Final = re.compile(
    rb'"self"\s*:\s*"[^"]*?/automations\\?/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\\?/'
)
"""The automation in an answer's own address; JSON may escape slashes (RFC 8259, section 7). A quotation mark within a
text is always escaped, so no link can look like it."""


def _not_negative(number: int) -> int:
    if number < 0:
        raise ValueError("a number from 0 on is expected")
    return number


def _whole(number: float) -> int:
    if not number.is_integer() or abs(number) >= _LARGEST:
        raise ValueError("a whole number is expected")
    return int(number)


_Float = Annotated[float, Field(strict=True, allow_inf_nan=False), AfterValidator(_whole)]
_Location = Annotated[
    Annotated[int, Field(strict=True, ge=-_LARGEST, le=_LARGEST)] | _Float, Field(union_mode="left_to_right")
]
_Count = Annotated[
    Annotated[int, Field(strict=True, ge=0, le=_LARGEST)] | Annotated[_Float, AfterValidator(_not_negative)],
    Field(union_mode="left_to_right"),
]

Count = Annotated[int, GetPydanticSchema(lambda _, handler: handler(_Count))]
"""A number of clicks or rows: JSON may spell it `5` or `5.0`, never as text or a boolean."""

Location = Annotated[int, GetPydanticSchema(lambda _, handler: handler(_Location))]
"""A link's place in its message, read as a count is."""


class LinkRow(TypedDict):
    """One row of `results`; a typed dictionary, which pydantic fills a third faster than a model."""

    url: str
    step_id: str
    clicks: Count
    url_location: NotRequired[Location | None]


Rows = Annotated[list[LinkRow], Field(fail_fast=True, max_length=MOST_ROWS)]
"""The first wrong row ends the reading: pydantic would keep up to four errors for each."""


class Wire(BaseModel):
    """A JSON object of the API's, whose errors never show what it holds."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


ModelT = TypeVar("ModelT", bound=Wire)


class Metadata(Wire):
    """The paging part of an answer."""

    next: str | None = None
    count: Count | None = None
    """Rows in the whole list, over all pages."""


class Page(Wire):
    """One page of an automation's link clicks."""

    results: Rows | None = None
    total_clicks: Count | None = None
    metadata: Metadata | None = Field(default=None, alias="_metadata")
    errors: Any = None
    """What belongs into a refusal only; beside a list it says that the list is none."""


_UsualCount = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]


class _UsualRow(TypedDict):
    url: str
    step_id: str
    clicks: _UsualCount
    url_location: NotRequired[Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)] | None]


class _UsualMetadata(msgspec.Struct):
    next: str | None = None
    count: _UsualCount | None = None


class _UsualPage(msgspec.Struct):
    results: Annotated[list[_UsualRow], msgspec.Meta(max_length=MOST_ROWS)] | None = None
    total_clicks: _UsualCount | None = None
    metadata: _UsualMetadata | None = msgspec.field(name="_metadata", default=None)
    errors: Any = None


_USUAL: Final = msgspec.json.Decoder(_UsualPage)


def parse_page(body: bytes) -> Page:
    """Return the page of links that the body holds, read as `parse` does.

    An answer as SendGrid gives it is read by msgspec, in half of pydantic's time. Whatever msgspec does not take, such
    as whole numbers spelled `5.0` or text to be repaired, `parse` reads, and it words every error.
    """
    try:
        usual = _USUAL.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return parse(Page, body)
    # What the decoder has checked is not checked again.
    paging = usual.metadata
    metadata = None if paging is None else Metadata.model_construct(next=paging.next, count=paging.count)
    return Page.model_construct(
        results=usual.results, total_clicks=usual.total_clicks, metadata=metadata, errors=usual.errors
    )


class _Paging(msgspec.Struct):
    metadata: _UsualMetadata | None = msgspec.field(name="_metadata", default=None)


_PAGING: Final = msgspec.json.Decoder(_Paging)


def next_address(body: bytes) -> str | None:
    """Return the address of the next page that a page of links gives, as `parse_page` does, without reading its rows.

    Raises InvalidResponseError for what only `parse_page` reads.
    """
    try:
        paging = _PAGING.decode(body).metadata
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidResponseError("not as SendGrid usually answers") from None
    return paging.next if paging else None


def parse(model: type[ModelT], body: bytes) -> ModelT:
    """Return what the body holds.

    Text that is not Unicode (invalid UTF-8, halves of surrogate pairs) is repaired with U+FFFD, since a link's
    address is data from outside. Anything else that is not the documented form raises InvalidResponseError, which
    names the first wrong field and never its content. The first wrong row ends the reading.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        problem, malformed = _first_problem(exc)
    if malformed:
        # Only now: repairing every body would take longer than parsing it, and nearly none needs it.
        try:
            return model.model_validate_json(_repaired(body))
        except ValidationError as exc:
            problem, _ = _first_problem(exc)
    raise InvalidResponseError(problem)


def named_automation(body: bytes) -> str | None:
    """Return the id of the automation that a page says to be about, in lower case; None where it says none."""
    found = _SELF.search(body)
    return found[1].decode().lower() if found else None


def explain_error(body: bytes, content_type: str, hide: Callable[[str], str]) -> str:
    """Return what an error answer says, in one line, after `hide` took the secrets out; empty where it says nothing.

    SendGrid documents `{"errors": [{"field", "message", "help"}], "id"}`, whose four fields are named; its 5xx answers
    were seen as `{"message"}` and `{"error"}`. What is no JSON, as a proxy's page in HTML, gives its first words.
    """
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return foreign_text(body, content_type, hide)
    if not isinstance(answer, dict):
        return ""
    text = hide("; ".join(_explanations(answer)))  # before the cut, which could leave a part of a secret
    return text and f"SendGrid says: {_in_one_line(text)[:_LONGEST_EXPLANATION]}"


def foreign_text(body: bytes, content_type: str, hide: Callable[[str], str]) -> str:
    """Return the type and the first words, without tags, of what cannot be JSON, such as a captive portal's page.

    Empty for what begins as a JSON object or list does, and for nothing at all.
    """
    if not body or _JSON_BEGINS.match(body):
        return ""
    text = body[:_SEARCHED].decode("utf-8", "replace")
    if len(body) > _SEARCHED:
        text = " ".join(text.split()[:-1])  # the cut may go through a secret, which then would not be found
    words = _in_one_line(hide(_TAG.sub(" ", text)))
    shown = words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}…"
    kind = _in_one_line(hide(content_type))[:_LONGEST_TYPE] or "no Content-Type"
    return f"{kind}, beginning with: {shown}" if shown else kind


def _in_one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", _LONE_SURROGATE.sub("\ufffd", text)).split())


def _first_problem(exc: ValidationError) -> tuple[str, bool]:
    """Return the first error in a sentence, and whether it is that the body is no JSON."""
    first = exc.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained", "function")))
    return f"{where or 'the answer'}: {first['msg'][:200]}", first["type"] == "json_invalid"


def _repaired(body: bytes) -> str:
    """Return the JSON text with what is not Unicode replaced; all else, valid or not, stays as it is."""
    return _SURROGATES.sub(_whole_pair, body.decode("utf-8-sig", "replace"))


def _whole_pair(found: re.Match[str]) -> str:
    return found[0] if found["pair"] else rf"{found['escaped']}\ufffd"


def _explanations(answer: dict[str, Any]) -> Iterator[str]:
    errors = answer.get("errors")
    for error in errors if isinstance(errors, list) else [errors]:
        if isinstance(error, str) and error:
            yield error
        if isinstance(error, dict):
            parts = [f"{key} {_compact(error[key])}" for key in ("field", "message", "help") if error.get(key)]
            if parts:
                yield ", ".join(parts)
    for key in ("message", "error", "id"):
        if answer.get(key):
            yield f"{key} {_compact(answer[key])}"


def _compact(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # the reader takes a deeper nesting than the writer
        return "(nested too deeply to be shown)"
