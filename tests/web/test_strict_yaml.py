"""The one reader of YAML: what it reads, what it refuses, and in which time."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.toolkit.strict_yaml import (
    DEEPEST,
    MOST_NODES,
    RepeatedKey,
    YamlDocument,
    YamlError,
    read_texts,
    read_values,
)

pytestmark = pytest.mark.unit

READERS = (read_values, read_texts)
LEVELS = range(1, 12)
MERGE_BOMB = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in LEVELS)
"""411 bytes of this kind held the start for 44 s."""
ALIAS_BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in LEVELS)
VALUE_BOMB = "a0: &a0 {k: x}\n" + "".join(f"a{n}: &a{n} {{l: *a{n - 1}, m: *a{n - 1}}}\n" for n in range(1, 60))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000))


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MERGE_BOMB, "its aliases expand to more than"),
        (ALIAS_BOMB, "its aliases expand to more than"),
        (VALUE_BOMB, "its aliases expand to more than"),
        (CHAIN, "nested more than"),
        ("[" * 500_000, "nest"),
        ("- " * 500_000, "nest"),
        ("{a: " * 500_000, "nest"),
        ("".join(f"{' ' * level}a:\n" for level in range(5000)), "nest"),
        ("a: &a [*a]", "an anchor that contains itself"),
        ("a: &a {<<: *a}", "an anchor that contains itself"),
        ("a: 1\n- b", "not lined up with the keys above it"),
        ("- a\n" * (MOST_NODES + 1), "more than"),
        ("&a a: *a\n? [b]\n: c", "a key must be plain text"),
        ("a: 1\n---\nb: 1", "document"),
        ("a: *b", "a name that no & defines"),
        ("a: \x01", "line 1, column 4: a control character"),
        ("a: \ud800", "line 1, column 4: a control character"),
    ],
)
def test_what_expands_nests_or_goes_on_without_end_is_refused_at_once(read, text, reason):
    started = time.process_time()

    with pytest.raises(YamlError) as refused:
        read(text)

    assert reason in str(refused.value)
    assert time.process_time() - started < 15


@pytest.mark.parametrize("value", ["1" + ":1" * 200_000, "1" * 5000, "1" * 2_000_000])
def test_number_whose_reading_takes_quadratic_time_is_refused(value):
    started = time.process_time()

    with pytest.raises(YamlError):
        read_values(f"a: {value}")

    assert time.process_time() - started < 5


def test_anchors_and_merge_keys_as_configurations_use_them_are_read():
    text = "x: &usual {interval: 15m, name: Usual}\nlist:\n- <<: *usual\n  name: Own\n- *usual\n"

    for read in READERS:
        document = read(text)

        assert document.content["list"] == [{"interval": "15m", "name": "Own"}, {"interval": "15m", "name": "Usual"}]
        assert document.repeated == (), "a key that overrides a merged one is no key given twice"


def test_many_automations_that_share_an_anchor_are_no_bomb():
    text = "usual: &usual {interval: 15m, name: x}\nlist:\n" + "- {<<: *usual, id: a}\n" * 20_000

    assert len(read_values(text).content["list"]) == 20_000


def test_depth_that_is_allowed_can_be_built():
    text = "[" * (DEEPEST - 1) + "x" + "]" * (DEEPEST - 1)

    for read in READERS:
        assert read(text).root is not None


@pytest.mark.parametrize(
    ("text", "values", "texts"),
    [
        ("a: 010", {"a": 8}, {"a": "010"}),
        ("a: yes", {"a": True}, {"a": "yes"}),
        ("a: ~", {"a": None}, {"a": None}),
        ("a:", {"a": None}, {"a": None}),
        ("a: ''", {"a": ""}, {"a": ""}),
        ("a: '~'", {"a": "~"}, {"a": "~"}),
        ("a: 1.5", {"a": 1.5}, {"a": "1.5"}),
        ("1: [2]", {1: [2]}, {"1": ["2"]}),
    ],
)
def test_scalars_are_yamls_types_or_the_text_that_they_are(text, values, texts):
    assert read_values(text).content == values
    assert read_texts(text).content == texts


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_text_without_a_document_is_empty(read, text):
    assert read(text) == YamlDocument()


@pytest.mark.parametrize("read", READERS)
def test_every_repeated_key_is_named_with_both_lines(read):
    document = read("a: 1\nb:\n- c: 1\n  c: 2\na: 2\n")

    assert set(document.repeated) == {RepeatedKey(("a",), 1, 5), RepeatedKey(("b", 0, "c"), 3, 4)}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "text", ["a: [SG.secret", "SG.secret: b: c", "a: *SG.secret", "a: !!SG.secret [", "a: @SG.secret"]
)
def test_refusal_never_quotes_the_text(read, text):
    with pytest.raises(YamlError) as refused:
        read(text)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("text", "place"), [("a: [", "line 1, column 5"), ("a: 1\nb: [", "line 2, column 5")])
def test_place_of_what_is_missing_at_the_end_is_the_end(text, place):
    with pytest.raises(YamlError, match=place):
        read_values(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc~ '\"", max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    )
)
def test_reads_back_what_was_written_with_shared_parts_as_anchors(content):
    shared = {"first": content, "second": content}

    assert read_values(yaml.safe_dump(shared)).content == shared
