"""The journal: every fact, append-only and hash-chained. Everything else is derived from it.

from mainstay.foundation import journal
journal.write.write(KIND, subject, actor, at, **facts)
"""
