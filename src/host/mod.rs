//! The machine we run on: world detection, tool paths.
