//! What was done when, for people: a table that may be deleted at any time.
