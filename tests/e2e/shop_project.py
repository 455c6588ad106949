"""A small shop whose tests notice most mutants, and not all of them."""

from __future__ import annotations

SHOP = """
    import logging

    log = logging.getLogger(__name__)

    def price(amount):
        log.info("asked for %d", amount)
        if amount > 100:
            return amount - 10
        return amount

    def is_open(hour, day):
        return hour >= 8 and day != 6

    def countdown(number):
        steps = 0
        while number > 0:
            log.info("%d to go", number)
            number -= 1
            steps += 1
        return steps

    def unused(a, b):
        return a + b
"""
# What loops for ever waits in what it logs: many loops would keep all processors busy.
TESTS = """
    import logging, time

    import shop

    class Waiting(logging.Handler):
        def emit(self, record):
            time.sleep(0.005)

    def test_price():
        assert shop.price(200) == 190
        assert shop.price(50) == 50

    def test_is_open():
        assert shop.is_open(8, 1)
        assert not shop.is_open(7, 1)
        assert not shop.is_open(9, 6)

    def test_countdown():
        waiting = Waiting()
        shop.log.addHandler(waiting)
        shop.log.setLevel(logging.INFO)
        try:
            assert shop.countdown(3) == 3
        finally:
            shop.log.removeHandler(waiting)
"""
FILES = {"shop.py": SHOP, "test_shop.py": TESTS}
# A test that tells that it has begun, and waits until it may go on.
WAITING = """
    import pathlib, time

    folder = pathlib.Path({folder!r})

    def test_waiting():
        (folder / "begun").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
"""
