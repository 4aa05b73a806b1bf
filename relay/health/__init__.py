"""How connectors stand, what needs a person and what to do about it: worked out once, shown by the command and by the page."""
