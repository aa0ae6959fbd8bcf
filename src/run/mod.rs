//! One run: the write order as one readable function.
