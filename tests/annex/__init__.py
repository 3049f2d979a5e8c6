"""A wing that exists only in tests: support contracts of applications, and the calls that were made on them.

`tests/test_annex.py` puts it into the list of wings of a copy of Mainstay, and runs what is here.
"""
