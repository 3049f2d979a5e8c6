"""PromQL over NumPy: a library that parses and evaluates queries on samples from any `Source`.

It reads no clock, no file and no network and knows no Django. Whoever only reads expressions (`parse`, `plan`,
`functions`, `printed`) loads no NumPy; whoever evaluates them (`query`, `memory`) does. See docs/promql.md.
"""
