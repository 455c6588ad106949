from decimal import Decimal

import pytest

from storefront.catalogue import UnknownProductError
from storefront.pricing import Percentage, Voucher


def test_a_new_basket_is_empty(basket):
    assert basket.is_empty()
    assert basket.total() == 0


def test_quantities_add_up(basket):
    basket.add("MUG")
    basket.add("MUG", 2)
    assert basket.lines() == [("MUG", 3, Decimal("22.50"))]


def test_only_products_on_sale_can_be_added(basket):
    with pytest.raises(UnknownProductError):
        basket.add("CUP")


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_quantity_is_positive(basket, quantity):
    with pytest.raises(ValueError, match="can't add"):
        basket.add("MUG", quantity)


def test_there_is_a_most_of_one_product(basket):
    basket.add("MUG", 99)
    with pytest.raises(ValueError, match="at most 99"):
        basket.add("MUG")


def test_some_of_a_product_can_be_removed(basket):
    basket.add("MUG", 3)
    basket.remove("MUG", 1)
    assert basket.lines()[0][1] == 2


def test_all_of_a_product_can_be_removed(basket):
    basket.add("MUG", 3)
    basket.remove("MUG")
    assert basket.is_empty()


def test_weight_is_that_of_all_pieces(basket):
    basket.add("MUG", 2)
    basket.add("POT")
    assert basket.weight() == 1900


def test_discounts_apply_one_after_the_other(basket):
    basket.add("POT")
    assert basket.total(Percentage(Decimal(50)), Voucher(Decimal(2))) == Decimal("10.00")


def test_a_total_is_never_negative(basket):
    basket.add("MUG")
    assert basket.total(Voucher(Decimal(10))) == 0


def test_a_voucher_needs_its_least_amount(basket):
    basket.add("MUG")
    assert basket.total(Voucher(Decimal(5), least=Decimal(20))) == Decimal("7.50")


def test_halves_of_a_cent_are_rounded_up(basket):
    basket.add("PEN")
    assert basket.total(Percentage(Decimal(50))) == Decimal("16.00")


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_is_between_0_and_100(percent):
    with pytest.raises(ValueError, match="no discount"):
        Percentage(Decimal(percent))
