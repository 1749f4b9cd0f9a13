"""The JSON of `GET /v3/marketing/stats/automations/{id}/links`, checked and repaired at the edge.

The shapes are those of SendGrid's published description of the Marketing Campaigns statistics API ("Get Automation
Click Tracking Stats by ID"), widened by what its siblings were seen to answer: `results` null, `_metadata` empty or
missing. Unknown fields are passed over. Numbers are counts: whole, from 0 to 2**53, beyond which Prometheus's
64-bit floats cannot hold them.
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, NotRequired

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, ValidationError
from typing_extensions import TypedDict

from exporter.errors import InvalidResponseError

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST_EXPLANATION: Final = 500
_LARGEST: Final = 2**53
_SELF: Final = re.compile(rb'"self"\s*:\s*"[^"]*?/automations/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})/')
"""The automation in an answer's own address. A quotation mark within a text is escaped, so no link can look like it."""


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
"""A link's place in its message, spelt as a count is."""


class LinkRow(TypedDict):
    """One row of `results`; a typed dictionary, which pydantic fills a third faster than a model."""

    url: str
    step_id: str
    clicks: Count
    url_location: NotRequired[Location | None]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Metadata(_Wire):
    """The paging part of an answer."""

    next: str | None = None
    count: Count | None = None
    """Rows in the whole list, over all pages."""


class Page(_Wire):
    """One page of an automation's link clicks."""

    results: list[LinkRow] | None = None
    total_clicks: Count | None = None
    metadata: Metadata | None = Field(default=None, alias="_metadata")
    errors: Any = None
    """What belongs into a refusal only; beside a list it says that the list is none."""


def parse_page(body: bytes) -> Page:
    """Return the page that the body holds.

    Text that is not Unicode (invalid UTF-8, halves of surrogate pairs) is repaired with U+FFFD, since a link's
    address is data from outside. Anything else that is not the documented form raises InvalidResponseError, which
    names the first wrong field and never its content.
    """
    try:
        return Page.model_validate_json(body)
    except ValidationError as exc:
        if not _is_malformed(exc):
            raise InvalidResponseError(_first_problem(exc)) from None
    try:
        return Page.model_validate_json(_repaired(body))
    except ValidationError as exc:
        raise InvalidResponseError(_first_problem(exc)) from None
    except (ValueError, RecursionError):
        raise InvalidResponseError("the answer is not JSON") from None


def named_automation(body: bytes) -> str | None:
    """Return the id of the automation that a page says to be about, in lower case; None where it says none."""
    found = _SELF.search(body)
    return found[1].decode().lower() if found else None


def explain_error(body: bytes, *, secret: str) -> str:
    """Return what an error answer says, in one line without the secret: `field`, `message`, `help` and `id`.

    SendGrid documents `{"errors": [{"field", "message", "help"}], "id"}`; its 5xx answers were seen as
    `{"message"}`, `{"error"}`, HTML or empty, which give an empty text unless they hold such a field.
    """
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    text = "; ".join(_explanations(answer))
    text = text.replace(secret, "<hidden>")  # before the cut, which could leave a part of it
    return _CONTROL.sub(" ", _LONE_SURROGATE.sub("\ufffd", text))[:_LONGEST_EXPLANATION]


def _is_malformed(exc: ValidationError) -> bool:
    return any(error["type"] == "json_invalid" for error in exc.errors(include_input=False, include_url=False))


def _first_problem(exc: ValidationError) -> str:
    first = exc.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained", "function")))
    return f"{where or 'the answer'}: {first['msg'][:200]}"


def _repaired(body: bytes) -> str:
    answer = json.loads(body.decode("utf-8-sig", "replace"))
    return _LONE_SURROGATE.sub("\ufffd", json.dumps(answer, ensure_ascii=False))


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
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
