"""What can be read of Arbiter, as types: made by the services, shown by the pages, answered by the API, whose description
is made of these by pydantic. They are plain dicts, as they are stored, pushed and sent between processes.

Money is USD, times are unix seconds, `_ms` milliseconds, `_pct` a per cent, shares and qualities 0 to 1; None is unknown.
"""
