//! Plans: document, digest, lint, compile.
