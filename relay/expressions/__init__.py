"""Expressions: JMESPath with functions of ours, for mappings, names made of others, and places in answers."""
