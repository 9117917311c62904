"""The only room that knows SQL: tables, one writer, readers of their own, and one repository a noun."""

from arbiter_app.store.keys import MintedKey, StoredKey
from arbiter_app.store.store import Store, open_store
from arbiter_app.store.writer import StoreError, WritesPaused

__all__ = ["StoredKey", "MintedKey", "WritesPaused", "Store", "StoreError", "open_store"]
