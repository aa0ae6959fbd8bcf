//! Promotability and promotion packets.
