"""The platform's side of the second source: a small gateway, and traffic to the feeds' function."""
