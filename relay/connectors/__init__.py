"""Connector documents: read, validated, expanded, published; and what is made of them."""
