from decimal import Decimal

import pytest

from storefront.export import archive, write_csv
from storefront.orders import Order, Status, place
from storefront.pricing import Percentage
from storefront.reports import revenue
from storefront.stock import OutOfStockError


@pytest.fixture
def order():
    return Order("Ada", [("MUG", 1, Decimal("7.50"))], Decimal("7.50"))


def test_placing_takes_the_goods(basket, stock):
    basket.add("MUG", 2)
    placed = place("Ada", basket, stock, Percentage(Decimal(10)))
    assert placed.total == Decimal("13.50")
    assert stock.available("MUG") == 3


def test_an_empty_basket_is_no_order(basket, stock):
    with pytest.raises(ValueError, match="needs something"):
        place("Ada", basket, stock)


def test_an_order_is_placed_as_a_whole_or_not_at_all(basket, stock):
    basket.add("MUG", 2)
    basket.add("POT", 6)
    with pytest.raises(OutOfStockError):
        place("Ada", basket, stock)
    assert stock.available("MUG") == 5


def test_an_order_remembers_its_way(order):
    order.move_to(Status.PAID)
    order.move_to(Status.SHIPPED)
    assert order.history == [Status.PLACED, Status.PAID]


@pytest.mark.parametrize("status", [Status.SHIPPED, Status.PLACED])
def test_an_order_takes_no_short_cuts(order, status):
    with pytest.raises(ValueError, match="can't go"):
        order.move_to(status)


def test_revenue_counts_what_was_paid(order):
    other = Order("Bob", [], Decimal(5), Status.PAID)
    assert revenue([order, other]) == 5


def test_the_export_has_a_row_an_order(order, tmp_path):
    path = tmp_path / "orders.csv"
    assert write_csv([order, order], path) == 2
    assert path.read_text().splitlines() == ["customer,status,total"] + ["Ada,placed,7.50"] * 2


def test_the_archive_lies_beside_the_file(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("customer,status,total\n")
    assert archive(path).name == "orders.csv.gz"
    assert archive(path).stat().st_size > 0
