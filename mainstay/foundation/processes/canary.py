"""The sealed canary: a known word in the database, sealed with the key that belongs to it.

A database that was restored beside another key would start without a word and fail at the first page: the secrets of
its channels cannot be opened. The canary is made with the first start and tried at every later one.
"""

from mainstay.foundation.processes.models import Canary
from mainstay.foundation.refusal import CannotStart
from mainstay.foundation.secrets import LostKey, seal, unseal

WORD = "canary"
WRONG_KEY = (
    "the present key does not open this database: restore the file keys/secret.key (or MAINSTAY_SECRET_KEY) that it was"
    " stored with. If that key is lost, go on with the present one: mainstay prepare --new-key; then enter the secrets"
    " of channels and checks again"
)


def fits(key: str) -> bool:
    """Tell whether `key` is the one that this database was stored with; so it is while there is no canary yet."""
    sealed = Canary.objects.filter(pk=1).values_list("sealed", flat=True).first()
    if sealed is None:
        return True
    try:
        return unseal(sealed, key) == WORD
    except LostKey:
        return False


def need(key: str) -> None:
    """Raise `CannotStart` unless `key` fits."""
    if not fits(key):
        raise CannotStart(WRONG_KEY)


def place(key: str, *, anew: bool = False) -> None:
    """Put the canary there, if there is none yet; `anew` in place of one that was sealed with another key."""
    if anew:
        Canary.objects.filter(pk=1).delete()
    Canary.objects.get_or_create(pk=1, defaults={"sealed": seal(WORD, key)})
