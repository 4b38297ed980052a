//! Progress on stderr, on a terminal only, for work that takes a while.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a number of inputs; it draws nothing where stderr is no terminal.
pub(crate) fn bar(inputs: usize, verb: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(inputs as u64), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(verb);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
