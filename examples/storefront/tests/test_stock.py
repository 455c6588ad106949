import random

import pytest

from storefront.stock import OutOfStockError, Stock


def test_taking_lowers_the_stock(stock):
    stock.take("MUG", 2)
    assert stock.available("MUG") == 3


def test_more_than_there_is_can_not_be_taken(stock):
    with pytest.raises(OutOfStockError, match="5 left, 6 wanted"):
        stock.take("MUG", 6)
    assert stock.available("MUG") == 5


def test_watchers_hear_of_products_that_come_back():
    stock, heard = Stock(), []
    stock.watch(heard.append)
    stock.restock("MUG", 1)
    stock.restock("MUG", 1)
    assert heard == ["MUG"]


def test_a_reservation_holds(stock):
    with stock.reserved("MUG", 2):
        assert stock.available("MUG") == 3
    assert stock.available("MUG") == 3


def test_a_failed_reservation_goes_back(stock):
    with pytest.raises(RuntimeError), stock.reserved("MUG", 2):
        raise RuntimeError
    assert stock.available("MUG") == 5


def test_restock_is_picked_up_by_the_poller(stock):
    # Flaky on purpose: the poller looks at one of ten moments, and one of them is too early.
    moment = random.randrange(10)
    if moment > 0:
        stock.restock("MUG", 1)
    assert stock.available("MUG") == 6
