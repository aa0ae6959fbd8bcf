//! Advisory locks on files that are never unlinked.
