"""More than one core: gateway workers beside the process that serves pages, on one store.

Processes share through the store what must be exact (records, statistics, limits, keys), and through a socket between
the page process and each worker what is only in memory (quarantine, price overrides, the live feed).
"""
