//! Files: opened beneath a root without following links, written by unique temp and rename, made durable on request.
