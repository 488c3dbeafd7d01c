"""The kinds of cell that a network may have: the recurrent layers, in all the ways they are read."""
