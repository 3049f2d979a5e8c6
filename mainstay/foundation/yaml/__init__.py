"""YAML with places: `read` makes a tree in which every key and value knows its line and column, `write` the one text.

Everything in Mainstay that reads or writes YAML does it here: the configuration file, rule files, lists of targets, the
boxes of forms.
"""
