//! Starting worker processes with private descriptors, limits and certain clean-up.
