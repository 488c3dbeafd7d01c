"""Files of music to melodies: `read` gives the pieces of a file, `melody` the melody of a piece,
and `corpus` the windows of a folder, a .zip or a file."""
