//! The `unface` program.

fn main() {}
