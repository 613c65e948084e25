"""Amounts of CPU, memory and storage, in Kubernetes' notation."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator

_FACTORS = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{s}i": Decimal(1024) ** power for power, s in enumerate("KMGTPE", start=1)},
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", start=1)},
}


def amount(quantity: str) -> Decimal:
    """Return the number that a quantity in Kubernetes' notation stands for.

    Raises:
        ValueError: if it is not such a quantity; exponents and signs are not taken.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|)", quantity)
    if found is None:
        message = "must be a Kubernetes quantity: a number, with a suffix if needed: 500m, 2, 1Gi"
        raise ValueError(message)
    return Decimal(found[1]) * _FACTORS.get(found[2], Decimal(1))


def _quantity(value: object) -> object:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, str) and amount(text) <= 0:
        message = "must be above zero; remove the key to set nothing"
        raise ValueError(message)
    return text


Quantity = Annotated[str, BeforeValidator(_quantity, json_schema_input_type=str | float)]
