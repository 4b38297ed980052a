//! The one binary of the five Lambdas.
fn main() {}
