//! The real `bootstrap`, as cargo builds it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Path of the executable of the dev profile. Cargo is asked once, and builds it if need be. `WARDEN_BOOTSTRAP` names another one,
/// such as that of a release.
pub fn executable() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| std::env::var_os("WARDEN_BOOTSTRAP").map_or_else(build, PathBuf::from)).clone()
}

/// With the whole workspace selected, as `cargo test --workspace` does: with another selection the AWS SDK would have other
/// features and be compiled a second time.
fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--workspace", "--bin", "bootstrap", "--locked", "--message-format", "json", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the bootstrap does not build");
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == "bootstrap");
    built.find_map(|message| Some(message["executable"].as_str()?.into())).unwrap()
}
