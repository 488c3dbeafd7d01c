"""Files of users and of runs: storage, atomic writes, tables and corpora."""
