import pytest

from lib.core.memo import memoized


@pytest.fixture
def counted():
    """A cached function of three arguments, and the calls that reached it."""
    calls = []

    @memoized(maxsize=2)
    def load(name, size=64, *, lines=False):
        """Load a thing."""
        calls.append((name, size, lines))
        return [name, size, lines]

    return load, calls


def test_a_default_that_is_spelled_out_is_the_same_call(counted):
    load, calls = counted
    one = load("a")
    assert one is load("a", 64) is load("a", size=64) is load(name="a", lines=False, size=64)
    assert calls == [("a", 64, False)]
    assert load("a", 96) == ["a", 96, False] and load("a", lines=True) == ["a", 64, True]
    assert len(calls) == 3


def test_the_oldest_result_goes_and_clearing_forgets_all(counted):
    load, calls = counted
    for name in "abab":
        load(name)
    assert len(calls) == 2
    load("c"), load("b"), load("a")
    assert [name for name, *_ in calls] == ["a", "b", "c", "a"]
    load.cache_clear()
    load("a")
    assert len(calls) == 5


def test_a_failure_is_not_kept_and_wrong_arguments_are_an_error(counted):
    load, calls = counted

    @memoized(maxsize=1)
    def fail():
        calls.append(None)
        raise OSError("no disk")

    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            fail()
    assert len(calls) == 2
    with pytest.raises(TypeError, match="colour"):
        load("a", colour="red")


def test_name_docstring_and_the_bare_function_stay(counted):
    load, calls = counted
    assert load.__name__ == "load" and load.__doc__ == "Load a thing."
    assert load.__wrapped__("a") == load.__wrapped__("a") and len(calls) == 2
