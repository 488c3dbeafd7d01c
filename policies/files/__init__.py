"""Reading and writing files: storage, atomic writes, tables and corpora."""
