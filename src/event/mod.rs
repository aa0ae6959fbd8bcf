//! Rows, normalised events, mismatches: pure.
