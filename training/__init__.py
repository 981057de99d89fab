"""How the nano weights are made: a painted world, four small models, and a program that checks them."""
