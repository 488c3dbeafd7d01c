"""The kinds of cell that a network may have: its recurrent layers, in all ways of reading them."""
