//! Compiles the shipped rules into a pack: a Lambda that parsed them would start a tenth of a second later.

#![allow(clippy::disallowed_methods, reason = "a build script writes what the crate embeds")]

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let pack = warden_rules::library::load().set.to_pack();
    fs::write(Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("library.pack"), pack)
}
