//! Commands found against commands that truly ran.

use std::path::{Path, PathBuf};

use crate::ground_truth;

/// How many of the wanted commands were found, in order, and how many of those found were wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// Commands that ran.
    pub wanted: usize,
    /// Commands that were found.
    pub found: usize,
    /// Commands that were found and ran.
    pub right: usize,
}

impl Score {
    /// Share of what ran that was found.
    pub fn recall(&self) -> f64 {
        ratio(self.right, self.wanted)
    }

    /// Share of what was found that ran.
    pub fn precision(&self) -> f64 {
        ratio(self.right, self.found)
    }

    /// Adds one session.
    pub fn add(&mut self, other: Self) {
        self.wanted += other.wanted;
        self.found += other.found;
        self.right += other.right;
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand lines")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Prints the table of many sessions and gives their sum. `WARDEN_MISSES=1` adds every line missed or invented.
pub fn table(title: &str, sessions: &[PathBuf], read: impl Fn(&Path) -> Vec<String>) -> Score {
    let mut total = Score::default();
    println!("{title}\n{:<50} {:>6} {:>6} {:>6}", "session", "truth", "found", "right");
    for dir in sessions {
        let truth = truth(dir);
        let found: Vec<String> = read(dir).iter().flat_map(|text| in_truth_form(text, &truth)).collect();
        total.add(compare(&dir.file_name().unwrap().to_string_lossy(), &truth, &found));
    }
    println!(
        "{title}: recall {:.3}, precision {:.3} over {} commands\n",
        total.recall(),
        total.precision(),
        total.wanted
    );
    total
}

/// Compares one session's commands and prints a line about it.
pub fn compare(name: &str, truth: &[String], found: &[String]) -> Score {
    let pairs = common(truth, found);
    println!("{name:<50} {:>6} {:>6} {:>6}", truth.len(), found.len(), pairs.len());
    if std::env::var_os("WARDEN_MISSES").is_some() {
        show_misses(truth, found, &pairs);
    }
    Score { wanted: truth.len(), found: found.len(), right: pairs.len() }
}

fn truth(dir: &Path) -> Vec<String> {
    let truth = ground_truth(dir);
    truth["commands"].as_array().unwrap().iter().map(|command| normal(command["line"].as_str().unwrap())).collect()
}

/// dash's ground truth lists continuation and here-document lines one by one.
fn in_truth_form(text: &str, truth: &[String]) -> Vec<String> {
    let whole = normal(text);
    if truth.contains(&whole) || !text.contains('\n') {
        return vec![whole];
    }
    let lines: Vec<String> = text.split('\n').map(normal).collect();
    if lines.iter().all(|line| truth.contains(line)) { lines } else { vec![whole] }
}

/// A screen shows neither tabs nor how many blanks stand at a line's end.
pub fn normal(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

/// Longest common subsequence: pairs of places.
fn common(a: &[String], b: &[String]) -> Vec<(usize, usize)> {
    let mut len = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            len[i][j] = if a[i] == b[j] { len[i + 1][j + 1] + 1 } else { len[i + 1][j].max(len[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if len[i + 1][j] >= len[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn show_misses(truth: &[String], found: &[String], pairs: &[(usize, usize)]) {
    for (at, line) in truth.iter().enumerate().filter(|(at, _)| !pairs.iter().any(|(i, _)| i == at)) {
        println!("    missed   {at:>3} {line:?}");
    }
    for (at, line) in found.iter().enumerate().filter(|(at, _)| !pairs.iter().any(|(_, j)| j == at)) {
        println!("    invented {at:>3} {line:?}");
    }
}
