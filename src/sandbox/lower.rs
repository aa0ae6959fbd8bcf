//! Profile to what a kernel can express: pure.
