//! Scenario, baseline and oracle lanes.
