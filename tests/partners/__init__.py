"""Small partners: real HTTP servers that behave as the partners' public pages say, strict about what they take."""
