use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::{DIM, REVERSED, View, fill, put, put_at};
use crate::index::{IDLE, MarkKind, Moment, Progress, duration};
use crate::player::Prompt;

/// Draws the title: which session, what the window is called, how far the index is.
pub(super) fn title(view: &View<'_>, area: Rect, cut: &str, buffer: &mut Buffer) {
    fill(buffer, area, REVERSED);
    let session = view.index.session.as_deref().unwrap_or("session without an id");
    let mut text = format!(" {session}  {}", view.index.record);
    if view.index.sessions > 1 {
        let _ = write!(text, ", one of {} sessions (--session)", view.index.sessions);
    }
    if !view.screen.title().is_empty() {
        let _ = write!(text, "  title: {}", view.screen.title());
    }
    put(buffer, area, 0, &text, REVERSED);
    let state = match &view.index.progress {
        Progress::Reading(done) => format!("  indexing {}%", done / 10),
        Progress::Failed(why) => format!("  index: {why}"),
        Progress::Done => String::new(),
    };
    let (rows, cols) = view.screen.size();
    let alternate = if view.screen.is_alternate() { " full-screen" } else { "" };
    let right = format!("{state}{cut} {cols}x{rows}{alternate}  ? help ");
    let col = area.width.saturating_sub(u16::try_from(right.chars().count()).unwrap_or(0));
    put_at(buffer, area, (col, 0), &right, REVERSED);
}

/// Draws the status: where and when, how whole, and what the user is typing.
pub(super) fn status(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    if area.height > 1 {
        times(view, area, buffer);
    }
    let last = area.height.saturating_sub(1);
    if let Some(prompt) = &view.player.prompt {
        let text = match prompt {
            Prompt::Search(text) => format!("/{text}"),
            Prompt::Go(text) => format!(":{text}"),
        };
        let col = put(buffer, area, last, &text, Style::default());
        return Some((area.x + col.min(area.width - 1), area.y + last));
    }
    let mut col = 0;
    for (text, style) in words(view) {
        if col > 0 {
            col += put_at(buffer, area, (col, last), " · ", DIM);
        }
        col += put_at(buffer, area, (col, last), &text, style);
    }
    None
}

fn times(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let (player, index) = (view.player, view.index);
    let sign = if player.playing { '▶' } else { '‖' };
    let since = player.pos.checked_sub(1).map_or(0, |last| index.axis(last, false));
    let length = index.length(false);
    let idle =
        if player.clamp { format!("idle≤{}", duration(IDLE).replace(".0", "")) } else { "idle full".to_owned() };
    let mut text = format!("{sign} {}/{} {}x {idle}", clock(since), duration(length), player.speed());
    let moment = player.pos.checked_sub(1).and_then(|last| index.moments.get(last));
    if index.made_up {
        text.push_str("  the record has no times: these are made up");
    } else if let Some(moment) = moment.filter(|_| !index.undated) {
        let _ = write!(text, "  {}", time(moment.at));
        if let Some((created, skew)) = sender_time(view) {
            let _ = write!(text, "  agent {} skew {skew:+}ms", time_of_day(created));
        }
    }
    put(buffer, area, 0, &text, Style::default());
}

/// Time of the latest output by its sender's clock, and how far that clock is ahead of the capture's, in milliseconds.
fn sender_time(view: &View<'_>) -> Option<(i64, i64)> {
    let moments = view.index.moments.get(..view.player.pos)?;
    let is_output = |moment: &&Moment| moment.output_len() > 0 && moment.created.is_some();
    let moment = moments.iter().rev().take(10_000).find(is_output)?;
    let created = moment.created?;
    Some((created.saturating_mul(1000), created - moment.at.div_euclid(1000)))
}

/// What is to be said of the place, the most urgent first.
fn words(view: &View<'_>) -> Vec<(String, Style)> {
    let (player, index) = (view.player, view.index);
    let mut words = Vec::new();
    if let Some(message) = &player.message {
        words.push((message.clone(), view.paint(Color::Yellow, Modifier::BOLD)));
    }
    if player.wanted.is_some() {
        words.push(("going there as soon as it is indexed".to_owned(), view.paint(Color::Yellow, Modifier::BOLD)));
    }
    let wait = index.wait_before(player.pos);
    if wait > IDLE {
        let cut = if player.clamp { format!(", cut to {}", duration(IDLE)) } else { String::new() };
        words.push((format!("idle {}{cut}", duration(wait)), view.paint(Color::Cyan, Modifier::BOLD)));
    }
    if let Some(search) = &player.search {
        words.push((format!("hit {}/{} n N Enter Esc", search.at + 1, search.hits.len()), Style::default()));
    }
    words.push(digests(view));
    let count = |is: fn(MarkKind) -> bool| index.marks.iter().filter(|mark| is(mark.kind)).count();
    let gaps = count(|kind| kind == MarkKind::Gap);
    if gaps > 0 {
        words.push((counted(gaps, "gap"), view.paint(Color::LightMagenta, Modifier::BOLD)));
    }
    let findings = count(|kind| kind.level().is_some());
    let commands = count(|kind| kind == MarkKind::Command);
    let found = if findings > 0 { view.paint(Color::LightRed, Modifier::BOLD) } else { DIM };
    words.push((counted(findings, "finding"), found));
    words.push((counted(commands, "command"), DIM));
    words.push((
        format!("@{}", player.pos.checked_sub(1).and_then(|last| index.moments.get(last)).map_or(0, |m| m.offset)),
        DIM,
    ));
    if player.message.is_none() && player.search.is_none() {
        words.push(("space n p f / : ?".to_owned(), DIM));
    }
    words
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn digests(view: &View<'_>) -> (String, Style) {
    if !view.index.has_digests {
        return ("no digests".to_owned(), DIM);
    }
    let bad = |mark: &&crate::index::Mark| mark.kind == MarkKind::BadDigest;
    let all = view.index.marks.iter().filter(bad).count();
    let before = view.index.marks.iter().filter(bad).take_while(|mark| mark.pos <= view.player.pos).count();
    if all == 0 {
        ("digests ok".to_owned(), view.paint(Color::Green, Modifier::empty()))
    } else {
        (format!("BAD DIGESTS {before}/{all}"), view.paint(Color::LightRed, Modifier::BOLD | Modifier::REVERSED))
    }
}

/// `1:02.5`, `1:02:03.5`.
fn clock(micros: i64) -> String {
    let tenths = micros.max(0) / 100_000;
    let (hours, minutes, seconds) = (tenths / 36000, tenths / 600 % 60, tenths / 10 % 60);
    let tenth = tenths % 10;
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}.{tenth}")
    } else {
        format!("{minutes}:{seconds:02}.{tenth}")
    }
}

fn time(micros: i64) -> String {
    format_time(micros, "%m-%d %H:%M:%S")
}

fn time_of_day(micros: i64) -> String {
    format_time(micros, "%H:%M:%S")
}

fn format_time(micros: i64, format: &str) -> String {
    let Ok(at) = Timestamp::from_microsecond(micros) else { return "?".to_owned() };
    let millis = micros.rem_euclid(1_000_000) / 1000;
    format!("{}.{millis:03}Z", Offset::UTC.to_datetime(at).strftime(format))
}
