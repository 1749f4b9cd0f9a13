from xml.etree import ElementTree as ET

from benchmarks.chart import Axis, line_chart

_SVG = "{http://www.w3.org/2000/svg}"


def test_axis_spans_whole_decades_and_places_values_by_their_logarithm():
    axis = Axis.over([20, 4000], 0, 300)

    assert axis.ticks == [10, 100, 1000, 10000]
    assert axis.at(10) == 0
    assert round(axis.at(100)) == 100


def test_axis_over_one_value_still_has_a_length():
    assert Axis.over([10], 0, 100).at(10) == 0


def test_chart_is_an_image_with_a_mark_for_each_point_and_every_name():
    chart = line_chart("A < B", "links", "ms", {"ours": [(1000, 1), (10000, 2)], "peer & co": [(1000, 10)]})

    root = ET.fromstring(chart)
    texts = [element.text for element in root.iter(f"{_SVG}text")]

    assert len(list(root.iter(f"{_SVG}circle"))) == 3
    assert {"A < B", "ours", "peer & co", "links", "ms", "10k"} <= set(texts)


def test_names_stand_in_the_order_in_which_their_lines_end():
    chart = line_chart("t", "x", "y", {"low": [(1, 1)], "high": [(1, 9)]})

    assert chart.index(">high<") < chart.index(">low<")
