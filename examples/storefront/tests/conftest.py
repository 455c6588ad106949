from decimal import Decimal

import pytest

from storefront.basket import Basket
from storefront.catalogue import Catalogue, Product
from storefront.stock import Stock


@pytest.fixture
def catalogue():
    catalogue = Catalogue()
    catalogue.add(Product("MUG", "Blue mug", Decimal("7.50"), 350, frozenset({"kitchen"})))
    catalogue.add(Product("POT", "Blue tea pot", Decimal("24.00"), 1200, frozenset({"kitchen"})))
    catalogue.add(Product("PEN", "Fountain pen", Decimal("31.99"), 40, frozenset({"desk"})))
    return catalogue


@pytest.fixture
def basket(catalogue):
    return Basket(catalogue)


@pytest.fixture
def stock():
    stock = Stock()
    for sku in ("MUG", "POT", "PEN"):
        stock.restock(sku, 5)
    return stock
