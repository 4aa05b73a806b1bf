"""The words of the design as types, and the errors. Imports nothing else of ours."""
