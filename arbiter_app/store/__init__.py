"""The only room that knows SQL: tables, one writer, readers of their own, and one repository a noun."""

from arbiter_app.store.keys import Key, MintedKey
from arbiter_app.store.store import Store, open_store
from arbiter_app.store.writer import NotDurable, StoreError

__all__ = ["Key", "MintedKey", "NotDurable", "Store", "StoreError", "open_store"]
