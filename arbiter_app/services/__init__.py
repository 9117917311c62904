"""The service object that API, pages and command line share."""
