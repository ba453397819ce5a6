"""Errors name the parameter, what it must be and what came; one file keeps the sentences.

After a change of sentences, write the file again and read its difference::

    GENCLS_REGENERATE=1 pytest tests/test_mistakes.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from mistakes import OURS, PARAMETERS, THEIRS, fit
from small import quick, shades

from gencls import GenclsError, InvalidInputError, InvalidParameterError

SENTENCES = Path(__file__).parent / "data" / "messages.json"


def message_of(mistake):
    """What is said of a mistake; its type is checked on the way."""
    with pytest.raises(mistake.error) as caught:
        mistake.call()
    assert isinstance(caught.value, GenclsError)
    return str(caught.value)


@pytest.mark.parametrize("name", OURS)
def test_a_mistake_is_named(name):
    message = message_of(OURS[name])
    assert [word for word in OURS[name].words if word not in message] == []
    assert len(message) < 1000


@pytest.mark.parametrize("name", THEIRS)
def test_what_scikit_learn_refuses_is_an_error_of_ours(name):
    data, words = THEIRS[name]
    with pytest.raises(InvalidInputError) as caught:
        fit(data)
    assert words in str(caught.value)


def test_the_sentences_are_those_of_the_file():
    found = {name: message_of(mistake) for name, mistake in OURS.items()}
    if os.environ.get("GENCLS_REGENERATE"):
        SENTENCES.parent.mkdir(exist_ok=True)
        SENTENCES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(SENTENCES.read_text(encoding="utf-8"))


def test_parameter_errors_are_those_that_callers_catch():
    with pytest.raises(InvalidParameterError) as caught:
        quick(lr=0).fit(*shades())
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)


def test_wrong_parameters_are_reported_together():
    wrong = {name: values[0] for name, (_, values) in PARAMETERS.items()}
    clf = quick(**wrong)
    for method in (clf.fit, lambda *data: clf.partial_fit(*data, classes=[0, 1, 2])):
        with pytest.raises(InvalidParameterError) as caught:
            method(*shades())
        lines = [line for line in str(caught.value).splitlines() if line.startswith("- ")]
        assert len(lines) == len(wrong)
        for name, value in wrong.items():
            (line,) = (line for line in lines if f"{name!r} of GenerativeBayesClassifier" in line)
            assert f"got {value!r}" in line


def test_mistakes_of_all_kinds_are_reported_together():
    wrong = {"lr": -1, "conditioner": "mildd", "objective": "hybird", "device": "gpu", "compute": "fast"}
    with pytest.raises(InvalidParameterError) as caught:
        quick(**wrong, augmentation="flipp").fit(*shades())
    lines = str(caught.value).splitlines()
    shown = ("'lr'", "'mildd'", "'hybird'", "'flipp'", "'compute'", "'device'")
    assert len(lines) == len(shown)
    for line, word in zip(lines, shown, strict=True):
        assert word in line
