//! The Lambdas end to end: the real `bootstrap`, deployed from the real template.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod faults;
mod fetch;
mod forgery;
mod paths;
mod response;

use std::sync::OnceLock;

use serde_json::Value;
use warden_tests::faults::Faults;
use warden_tests::ministack::Ministack;

/// One ministack for all tests of this program, each of which has an account of its own. It ends with the program. Its functions see it
/// through a proxy, which stands in for the sessions of Systems Manager.
fn ministack() -> Option<&'static Ministack> {
    static SHARED: OnceLock<Option<(Ministack, Faults)>> = OnceLock::new();
    let start = || {
        let proxy = Faults::start();
        let ministack = Ministack::start(Some(&proxy.url()))?;
        proxy.forward_to(ministack.address);
        Some((ministack, proxy))
    };
    SHARED.get_or_init(start).as_ref().map(|(ministack, _)| ministack)
}

/// Text of the command that an alert is about.
fn command(alert: &Value) -> &str {
    alert["finding"]["command"]["text"].as_str().unwrap_or_default()
}

/// Whether an alert is the first one about a command.
fn is_initial(alert: &Value, text: &str) -> bool {
    alert["kind"] == "initial" && command(alert) == text
}
