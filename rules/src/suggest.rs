//! "Did you mean": the nearest of the names that would have been right.

/// Longest name that is compared; a longer one is no misspelling of anything short.
const MAX_NAME: usize = 64;

/// The candidate that differs from `word` by the fewest edits, if that is few for its length.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = distance(&folded, &candidate.to_lowercase())?;
            let allowed = (candidate.chars().count().min(folded.chars().count()) / 3).clamp(1, 3);
            (distance <= allowed && distance < folded.chars().count()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment); `None` if a name is too long.
fn distance(a: &str, b: &str) -> Option<usize> {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len() > MAX_NAME || b.len() > MAX_NAME {
        return None;
    }
    let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let replaced = at(&above, j) + usize::from(ca != cb);
            let mut best = replaced.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_nearest_name() {
        let names = ["contains", "startswith", "endswith", "re", "all"];
        for (case, word, expected) in [
            ("a letter lost", "contain", Some("contains")),
            ("letters swapped", "contians", Some("contains")),
            ("wrong case", "EndsWith", Some("endswith")),
            ("one edit of a short name", "al", Some("all")),
            ("nothing near", "frobnicate", None),
            ("nothing kept", "xy", None),
            ("empty", "", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{case}");
        }
    }
}
