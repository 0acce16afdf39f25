"""stock2shop."""
