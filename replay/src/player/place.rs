use jiff::Timestamp;

use crate::index::{Index, MarkKind, Progress};

/// A place to go to, as a user writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// `12.5`, `1:02`: microseconds since the session began.
    Since(i64),
    /// `13:02:11`: microseconds since midnight UTC, the first time that it is so late in the session.
    TimeOfDay(i64),
    /// RFC 3339: microseconds since 1970.
    Time(i64),
    /// `@1234`: a byte of the input, as findings and commands give it.
    Offset(u64),
    /// A command by its number, from 0.
    Command(u64),
    /// A finding by its number, from 1.
    Finding(u64),
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Place {
    /// Reads `12.5`, `1:02`, `1:02.5`, `13:02:11`, `2026-11-24T13:02:11Z` or `@1234`.
    ///
    /// # Errors
    /// Says what can be written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || "a place is 12.5, 1:02, 13:02:11, 2026-11-24T13:02:11Z or @BYTE".to_owned();
        if let Some(offset) = text.strip_prefix('@') {
            return offset.parse().map(Self::Offset).map_err(|_| wrong());
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::Time(time.as_microsecond()));
        }
        let parts: Vec<&str> = text.split(':').collect();
        let number = |part: &str| part.parse::<i64>().ok().filter(|number| (0..100_000).contains(number));
        match parts.as_slice() {
            [seconds] => micros(seconds).map(Self::Since),
            [minutes, seconds] => number(minutes).zip(micros(seconds)).map(|(m, s)| Self::Since(m * 60 * SECOND + s)),
            [hours, minutes, seconds] => {
                let parsed = number(hours).zip(number(minutes)).zip(micros(seconds));
                parsed.map(|((h, m), s)| Self::TimeOfDay((h * 3600 + m * 60) * SECOND + s))
            }
            _ => None,
        }
        .ok_or_else(wrong)
    }

    /// The position of this place; `None` if the index does not reach so far yet, an error if there is none.
    pub(super) fn find(&self, index: &Index) -> Option<Result<usize, String>> {
        let done = !matches!(index.progress, Progress::Reading(_));
        let last = index.moments.last();
        let at_time = |time: i64| {
            let reached = last.is_some_and(|last| last.at >= time);
            (reached || done).then(|| Ok(index.at_time(time)))
        };
        let numbered = |is: fn(MarkKind) -> bool, number: u64, word: &str| {
            let mark = index.marks.iter().find(|mark| is(mark.kind) && mark.number == number);
            match mark {
                Some(mark) => Some(Ok(mark.pos)),
                None => done.then(|| Err(format!("there is no {word} {number}"))),
            }
        };
        match *self {
            Self::Offset(offset) => {
                let reached = last.is_some_and(|last| last.offset > offset);
                (reached || done).then(|| Ok(index.at_offset(offset)))
            }
            Self::Command(number) => numbered(|kind| kind == MarkKind::Command, number, "command"),
            Self::Finding(number) => numbered(|kind| kind.level().is_some(), number, "finding"),
            // Without a first moment nothing is known of the session's time.
            _ if last.is_none() => done.then_some(Ok(0)),
            Self::Since(since) => at_time(index.start().saturating_add(since)),
            Self::Time(time) => at_time(time),
            Self::TimeOfDay(time) => {
                let midnight = index.start() - index.start().rem_euclid(DAY);
                let today = midnight.saturating_add(time);
                at_time(if today < index.start() - SECOND { today.saturating_add(DAY) } else { today })
            }
        }
    }
}

/// Microseconds of decimal seconds.
fn micros(seconds: &str) -> Option<i64> {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !(part.is_empty() || digits(part)) || whole.len() > 9 {
        return None;
    }
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    Some(whole.parse::<i64>().ok()? * SECOND + part.parse::<i64>().ok()?)
}
