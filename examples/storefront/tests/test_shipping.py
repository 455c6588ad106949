from decimal import Decimal

import pytest

from storefront.shipping import shipping_cost


@pytest.mark.parametrize(
    ("weight", "country", "options", "cost"),
    [
        (0, "DE", {}, "0"),
        (500, "DE", {}, "3.90"),
        (2500, "DE", {}, "6.90"),
        (11000, "DE", {}, "12.90"),
        (500, "DE", {"express": True}, "9.90"),
        (2500, "DE", {"express": True}, "14.90"),
        (11000, "DE", {"express": True}, "24.90"),
        (500, "AT", {}, "9.90"),
        (2500, "FR", {}, "16.90"),
        (500, "NL", {"express": True}, "24.90"),
        (2500, "NL", {"express": True}, "39.90"),
        (500, "CH", {"value": Decimal(200)}, "14.90"),
        (500, "US", {}, "19.90"),
        (2500, "US", {}, "29.90"),
        (500, "DE", {"insured": True}, "5.90"),
        (500, "DE", {"insured": True, "value": Decimal(200)}, "7.90"),
        (500, "DE", {"insured": True, "value": Decimal(1000)}, "23.90"),
        (500, "DE", {"member": True, "value": Decimal(50)}, "0"),
        (500, "AT", {"member": True, "value": Decimal(100)}, "4.95"),
        (500, "AT", {"member": True, "value": Decimal(99)}, "9.90"),
    ],
)
def test_cost(weight, country, options, cost):
    assert shipping_cost(weight, country, **options) == Decimal(cost)


def test_there_is_no_express_overseas():
    with pytest.raises(ValueError, match="no express to US"):
        shipping_cost(500, "US", express=True)
