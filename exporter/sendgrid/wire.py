"""What came over the wire: an answer's body, decoded while it arrives and bounded, and its JSON, checked and repaired.

The shapes are those of `GET /v3/marketing/stats/automations/{id}/links` in SendGrid's published description of the
Marketing Campaigns statistics API ("Get Automation Click Tracking Stats by ID"), widened by what its siblings were seen
to answer: `results` null, `_metadata` empty or missing. Unknown fields are ignored. Numbers are counts: whole, from 0
to 2**53, beyond which Prometheus's 64-bit floats cannot hold them.
"""

import io
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, NotRequired, Protocol, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, ValidationError
from typing_extensions import TypedDict

from exporter.errors import InvalidResponseError

LARGEST_BODY: Final = 8 * 1024 * 1024
"""Bytes of one page, in each of its encodings; a real one is about 10 kB."""
_CHUNK: Final = 64 * 1024
_GZIP: Final = 31
_ZLIB: Final = 47
_RAW: Final = -15
"""zlib's `wbits`; 47 also takes gzip's format, which some servers call deflate."""
_GZIP_MAGIC: Final = 0x1F8B
_MEMBER: Final = b"\x1f"
"""The first byte of each member of a gzip stream."""
_DEFLATE: Final = 8
"""The only compression method that zlib's format knows."""
_DECODED: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Content codings that can be undone; not asked for, but an answer in one of them is still an answer."""
_UNREADABLE: Final = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"}
)
"""IANA's other content codings. A word that is none of them (`UTF-8`, `none`, `aws-chunked`) changes no byte."""
_MOST_CODINGS: Final = 4
"""Codings on top of each other; each takes a pass over the body."""
_MOST_MEMBERS: Final = 1000
"""Parts of one gzip stream (RFC 1952, 2.2); a server that flushes often makes a few."""
_OBJECT: Final = 1024
"""Bytes of a row without its texts, from the parser's tree to what is published; 870 were measured in the parser."""
_VALUE: Final = 24
"""Bytes of any other value in the parser's tree."""
_COPIES: Final = 4
"""The body, its texts, and what is made of them before the next is read."""
_WIDEST: Final = 3
"""How much wider than its JSON a text gets where it holds any character beyond Latin-1 (PEP 393: 2 or 4 bytes each)."""
_SURROGATE: Final = 128
"""Bytes of an escaped surrogate, while halves of pairs are repaired."""
_USUAL_OBJECTS: Final = 100
_USUAL_SIZE: Final = 64 * 1024
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
_MOST_NESTED: Final = 500
"""Lists and objects of an explanation; SendGrid's have a handful."""
MOST_ROWS: Final = 20_000
"""Rows of one page: 400 times the 50 that SendGrid gives at most, for an API that ignores page_size."""
_LARGEST: Final = 2**53
_SELF: Final = re.compile(
    rb'"self"\s*:\s*"[^"]*?/automations\\?/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\\?/'
)
"""The automation in an answer's own address; JSON may escape slashes (RFC 8259, section 7). A quotation mark within a
text is always escaped, so no link can look like it."""


class RawAnswer(Protocol):
    """What urllib3 gives to read an answer from."""

    def read(self, amt: int, *, decode_content: bool) -> bytes:
        """Return up to `amt` bytes as they came; empty at the end."""


Reserve = Callable[[int], None]
"""Makes room for so many bytes more, or raises."""


def read_body(
    raw: RawAnswer, encoding: str, where: str, *, largest: int = LARGEST_BODY, reserve: Reserve = lambda _: None
) -> bytes:
    """Return the whole body, decoded as its Content-Encoding says; `reserve` is called before a piece is kept.

    A hostile answer may be endless or inflate a thousandfold. One that is larger than `largest` in any of its
    encodings, cut, or encoded in a way that cannot be read raises InvalidResponseError, which names `where`.
    """
    pieces = _bounded(_received(raw), largest, where)
    for coding in _codings(encoding, where):
        pieces = _bounded(_decoded(pieces, coding, where), largest, where)
    with io.BytesIO() as body:  # gives its buffer away without a copy, or frees it, whoever keeps an error's traceback
        for piece in pieces:
            reserve(len(piece))
            body.write(piece)
        return body.getvalue()


def read_charged(raw: RawAnswer, encoding: str, where: str, reserve: Reserve) -> bytes:
    """Return the whole body as `read_body` does, once what parsing it will take is reserved too."""
    body = read_body(raw, encoding, where, reserve=reserve)
    reserve(cost(body) - len(body))
    return body


def _codings(encoding: str, where: str) -> Sequence[str]:
    """Return the codings to undo, the last applied one first (RFC 9110, 8.4)."""
    named = [name.strip().lower() for name in encoding.split(",")]
    if unreadable := _UNREADABLE.intersection(named):
        raise InvalidResponseError(f"{where}: the answer is encoded as {min(unreadable)}, which was not asked for")
    codings = [name for name in reversed(named) if name in _DECODED]
    if len(codings) > _MOST_CODINGS:
        raise InvalidResponseError(f"{where}: the answer is encoded more than {_MOST_CODINGS} times")
    return codings


def _received(raw: RawAnswer) -> Iterator[bytes]:
    # Not decoded by urllib3: `_inflated` bounds what one piece can become.
    while chunk := raw.read(_CHUNK, decode_content=False):
        yield chunk


def _bounded(pieces: Iterator[bytes], largest: int, where: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise InvalidResponseError(f"{where}: the answer is larger than {largest} bytes")
        yield piece


def _decoded(pieces: Iterator[bytes], coding: str, where: str) -> Iterator[bytes]:
    try:
        if coding == "deflate":
            yield from _inflated(*_deflate_form(pieces))
        else:
            yield from _inflated(pieces, _GZIP)
    except zlib.error:
        raise InvalidResponseError(f"{where}: the answer cannot be decompressed") from None
    except EOFError:
        raise InvalidResponseError(f"{where}: the compressed answer is cut") from None


def _inflated(pieces: Iterator[bytes], wbits: int) -> Iterator[bytes]:
    """Inflate the members of one stream, at most a chunk at once; raise EOFError where it is cut.

    What follows a whole stream without being another member is ignored, as gzip(1) and browsers do.
    """
    inflater = zlib.decompressobj(wbits)
    members = 1
    for piece in pieces:
        rest, inflated = piece, b""
        # A full chunk may leave more within the inflater, without input.
        while rest or (len(inflated) == _CHUNK and not inflater.eof):
            if inflater.eof:
                # gzip(1) ignores zero bytes after a member: they pad a file to the size of a block.
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                if wbits != _GZIP or rest[:1] != _MEMBER or members == _MOST_MEMBERS:
                    return
                inflater = zlib.decompressobj(wbits)
                members += 1
            inflated = inflater.decompress(rest, _CHUNK)
            yield inflated
            # At most one of both: `unconsumed_tail` within a member, `unused_data` after its end.
            rest = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        raise EOFError


def _deflate_form(pieces: Iterator[bytes]) -> tuple[Iterator[bytes], int]:
    """Tell zlib's format (RFC 1950), which deflate means, from the raw stream that some servers send instead.

    The first two bytes of zlib's format are a multiple of 31, and begin a raw stream that no encoder writes.
    """
    head = b""
    while len(head) < 2 and (piece := next(pieces, b"")):  # noqa: PLR2004  # the two bytes that tell
        head += piece
    first = int.from_bytes(head[:2])
    headed = first == _GZIP_MAGIC or (first % 31 == 0 and (first >> 8) & 15 == _DEFLATE)
    return itertools.chain([head], pieces), _ZLIB if headed else _RAW


def cost(body: bytes) -> int:
    """Return the most bytes that a page's rows can take, told from its JSON text without parsing it.

    No `{{` of a text (as in `{{first_name}}`) begins an object: after the brace of one stands a blank, `"` or `}`. What
    a usual page cannot have much of is only counted in others, since counting takes a tenth of the parser's time.
    """
    objects = body.count(b"{")
    if objects > _USUAL_OBJECTS:
        objects -= 2 * body.count(b"{{")
    values = body.count(b",") + body.count(b"[") if len(body) > _USUAL_SIZE else 0
    escapes = body.count(b"\\u") if b"\\" in body else 0
    surrogates = body.count(b"\\ud") + body.count(b"\\uD") if escapes else 0
    narrow = body.isascii() and escapes == (body.count(b"\\u00") if escapes else 0)
    texts = len(body) * _COPIES * (1 if narrow else _WIDEST)
    return texts + objects * _OBJECT + values * _VALUE + surrogates * _SURROGATE


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


_UsualCount = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]


class LinkRow(msgspec.Struct, gc=False):
    """One row of `results`; a struct of msgspec's takes half the time of a dictionary, to fill and to read."""

    url: str
    step_id: str
    clicks: _UsualCount
    url_location: Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)] | None = None


class _CheckedRow(TypedDict):
    url: str
    step_id: str
    clicks: Count
    url_location: NotRequired[Location | None]


def _as_structs(rows: Sequence[_CheckedRow]) -> Sequence[LinkRow]:
    return [LinkRow(**row) for row in rows]


_Rows = Annotated[list[_CheckedRow], Field(fail_fast=True, max_length=MOST_ROWS), AfterValidator(_as_structs)]
"""The first wrong row ends the reading: pydantic would keep up to four errors for each."""
Rows = Annotated[Sequence[LinkRow], GetPydanticSchema(lambda _, handler: handler(_Rows))]


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


class _UsualMetadata(msgspec.Struct):
    next: str | None = None
    count: _UsualCount | None = None


class _UsualPage(msgspec.Struct):
    results: Annotated[list[LinkRow], msgspec.Meta(max_length=MOST_ROWS)] | None = None
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
    # From Python 3.14 on, json goes as deep as the C stack allows, which takes long, before it raises.
    if body.count(b"[") + body.count(b"{") > _MOST_NESTED:
        return foreign_text(body, content_type, hide)
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
