"""Where everything is kept: the two databases, the tables, and the statements on them."""
