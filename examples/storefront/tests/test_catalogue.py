from decimal import Decimal

import pytest

from storefront.catalogue import Product, UnknownProductError


def test_a_product_is_found_by_its_sku(catalogue):
    assert catalogue.get("MUG").name == "Blue mug"


def test_an_unknown_sku_is_an_error(catalogue):
    with pytest.raises(UnknownProductError, match="CUP"):
        catalogue.get("CUP")


def test_a_sku_is_on_sale_once(catalogue):
    with pytest.raises(ValueError, match="already"):
        catalogue.add(Product("MUG", "Another mug", Decimal(1)))


def test_a_removed_product_is_gone(catalogue):
    assert catalogue.remove("PEN").sku == "PEN"
    assert len(catalogue) == 2


def test_tags_list_the_cheapest_first(catalogue):
    assert [product.sku for product in catalogue.tagged("kitchen")] == ["MUG", "POT"]


@pytest.mark.parametrize(
    ("text", "skus"), [("blue", ["MUG", "POT"]), ("BLUE tea", ["POT"]), ("green", [])]
)
def test_search_wants_every_word(catalogue, text, skus):
    assert [product.sku for product in catalogue.search(text)] == skus


def test_prices_are_not_negative():
    with pytest.raises(ValueError, match="negative"):
        Product("MUG", "Blue mug", Decimal(-1))


def test_a_product_needs_a_sku():
    with pytest.raises(ValueError, match="SKU"):
        Product("", "Blue mug", Decimal(1))
