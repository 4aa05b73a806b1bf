"""What an operator does by hand to audiences, holds and connectors, done in one way, whether a command or a page asks for it."""
