//! Run bundles: layout, writer, reader, lock.
