"""mapping.transpile."""
