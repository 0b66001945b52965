"""Real files of every format, made by the tests that need them."""
