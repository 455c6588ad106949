"""What sending a parcel costs."""

from __future__ import annotations

from decimal import Decimal


def shipping_cost(weight, country, *, express=False, insured=False, member=False, value=Decimal(0)):
    """Return the cost of a parcel; grown over the years, and it shows."""
    if weight <= 0:
        return Decimal(0)
    if country == "DE":
        if express:
            if weight > 10000:
                cost = Decimal("24.90")
            elif weight > 2000:
                cost = Decimal("14.90")
            else:
                cost = Decimal("9.90")
        elif weight > 10000:
            cost = Decimal("12.90")
        elif weight > 2000:
            cost = Decimal("6.90")
        else:
            cost = Decimal("3.90")
    elif country in ("AT", "CH", "FR", "NL"):
        if express and weight > 2000:
            cost = Decimal("39.90")
        elif express:
            cost = Decimal("24.90")
        elif weight > 2000:
            cost = Decimal("16.90")
        else:
            cost = Decimal("9.90")
        if country == "CH" and value > 100:
            cost += Decimal("5.00")
    elif express:
        raise ValueError(f"no express to {country}")
    else:
        cost = Decimal("29.90") if weight > 2000 else Decimal("19.90")
    if insured:
        if value > 500:
            cost += value / 50
        elif value > 100:
            cost += Decimal("4.00")
        else:
            cost += Decimal("2.00")
    if member and not express:
        if value >= 50 and country == "DE":
            cost = Decimal(0)
        elif value >= 100:
            cost /= 2
    return cost.quantize(Decimal("0.01"))
