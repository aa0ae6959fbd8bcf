//! The attacks are on Linux.

pub(crate) fn main() {
    println!("not available on this system");
}
