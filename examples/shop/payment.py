"""Payment: a stand-in for a payment provider that accepts, declines or cannot be reached, as the card says."""

import secrets

ACCEPTED = "accepted"
DECLINED = "declined"
UNREACHABLE = "unreachable"

CARDS = {
    ACCEPTED: "Demo card",
    DECLINED: "Demo card that the bank declines",
    UNREACHABLE: "Demo card of a bank that does not answer",
}


class PaymentDeclinedError(Exception):
    """The bank said no; the customer may try another card."""


class PaymentUnreachableError(Exception):
    """The bank did not answer, so nothing was charged."""


def charge(card: str, amount_cents: int) -> str:
    """Take the money; returns the payment's reference."""
    if amount_cents <= 0:
        raise ValueError(f"an amount must be positive, not {amount_cents}")
    if card == DECLINED:
        raise PaymentDeclinedError("The bank declined this card.")
    if card != ACCEPTED:
        raise PaymentUnreachableError("The bank did not answer.")
    return f"pay_{secrets.token_hex(8)}"
