//! The probe worker: one operation, performed once, reported on a private descriptor.
