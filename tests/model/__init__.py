"""A model of the way out: an independent Stock2Shop, an oracle, and random histories that both are held against."""
