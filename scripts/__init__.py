"""The commands that stand around the code; `make help` tells what calls them."""
