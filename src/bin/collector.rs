//! The collector: serves the demo and takes the records.

fn main() {}
