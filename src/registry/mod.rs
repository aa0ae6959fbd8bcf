//! Probe and profile registries and their index.
