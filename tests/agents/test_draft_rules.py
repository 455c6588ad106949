"""What a model's candidate may hold: ways around the guard and tests that prove nothing may not."""

from __future__ import annotations

import pytest

from lionagi_qe.agents.generation.safety_checks import LONGEST, objection

GOOD = "import math\n\nimport pytest\nfrom shop import cart\n\n"
TEST = "def test_a():\n    assert cart.total([1]) == 1\n"


@pytest.mark.parametrize(
    "source",
    [
        GOOD + TEST,
        GOOD
        + "@pytest.mark.parametrize('n', [1, 2])\ndef test_b(n):\n    assert math.isclose(n, n)\n",
        GOOD
        + "class TestCart:\n    def test_c(self):\n        pytest.raises(ValueError, cart.pay)\n",
        "import requests\nasync def test_d():\n    assert await requests.get('x')\n",
        "from unittest import mock\n\ndef test_e():\n    mock.Mock().assert_not_called()\n",
    ],
)
def test_a_test_that_computes_may_be_tried(source: str) -> None:
    assert objection(source, {"shop", "requests"}) is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def test_a(:", "no Python"),
        ("x = 1\nassert x == 1\n", "no test function"),
        ("def test_a():\n    print(1)\n", "checks nothing"),
        ("def test_a():\n    assert True\n", "checks nothing"),
        ("import os\n" + TEST, "imports os"),
        ("import subprocess as pytest\n" + TEST, "imports subprocess"),
        ("from ctypes import CDLL\n" + TEST, "imports ctypes"),
        ("from . import conftest\n" + TEST, "imports ."),
        ("import numpy.linalg\n" + TEST, "imports numpy.linalg"),
        ("import aqe_guard\n" + TEST, "imports aqe_guard"),
        (TEST + "    __import__('os')\n", "uses __import__"),
        (TEST + "    eval('1')\n", "uses eval"),
        (TEST + "    cart.total.__globals__['os']\n", "uses __globals__"),
        (TEST + "    object.__subclasses__()\n", "uses __subclasses__"),
        (TEST + "    getattr(cart, '__builtins__')\n", "names __builtins__"),
        (TEST + "    cart.sys.modules['aqe_guard']\n", "belongs to aqe"),
        (TEST + "    cart.os.environ['AQE_GUARD']\n", "belongs to aqe"),
        (TEST + "#" * LONGEST, "more than"),
    ],
)
def test_others_are_refused_unrun(source: str, said: str) -> None:
    assert said in str(objection(source, {"shop"}))
