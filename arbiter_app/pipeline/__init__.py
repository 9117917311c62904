"""The six stages one request goes through. Start with `lifecycle.py`."""
