//! Replaces a live database from inside, through SQLite's backup API into it.
