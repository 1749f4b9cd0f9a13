"""The matrix that users read is the one that the tests run."""

from scripts.matrix import PAGE, filled


def test_the_page_holds_the_matrix_of_the_tests():
    text = PAGE.read_text(encoding="utf-8")

    assert text == filled(text), "run `make docs`"
