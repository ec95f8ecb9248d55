import pytest

from onecopy.errors import InvalidArgument
from onecopy.planner.arguments import arguments


def test_a_list_will_do_and_kwargs_may_be_left_out() -> None:
    assert arguments([1, 2], None) == ((1, 2), {})
    assert arguments((), {"x": 1}) == ((), {"x": 1})


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (range(3), None, r"args are a tuple, as \(ids,\), not range"),
        ((), [("x", 1)], "kwargs are a dict by parameter, not list"),
    ],
)
def test_anything_else_is_refused(args, kwargs, text) -> None:
    with pytest.raises(InvalidArgument, match=text):
        arguments(args, kwargs)
