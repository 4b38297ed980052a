//! Findings for people: who, where, what, and where to look.

use std::collections::HashSet;
use std::io::{self, Write};

use warden_rules::Level;
use warden_rules::finding::Finding;

use crate::command::scan::Summary;
use crate::paint::Paint;
use crate::report::{Lines, escape};

/// A report that shows each finding once, however many records hold it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    shown: HashSet<String>,
    repeated: usize,
}

impl Report {
    /// Prints the findings of one input, under a heading for each session or caller.
    ///
    /// # Errors
    /// What the output says.
    pub(crate) fn print(&mut self, out: &mut impl Write, findings: &[Finding], paint: Paint) -> io::Result<()> {
        let mut heading = None;
        for finding in findings {
            if !self.shown.insert(finding.finding_id.clone()) {
                self.repeated += 1;
                continue;
            }
            let key = (&finding.session, &finding.principal, &finding.target);
            if heading != Some(key) {
                print_heading(out, finding, paint)?;
                heading = Some(key);
            }
            print_finding(out, finding, paint)?;
        }
        Ok(())
    }

    /// Prints the last lines: what was read and found.
    ///
    /// # Errors
    /// What the output says.
    pub(crate) fn print_summary(
        &self,
        out: &mut impl Write,
        summary: &Summary,
        rules: usize,
        paint: Paint,
    ) -> io::Result<()> {
        let levels = Level::ALL.iter().zip(summary.levels).rev().filter(|(_, count)| *count > 0);
        let levels: Vec<String> =
            levels.map(|(level, count)| paint.level(*level, &format!("{count} {}", level.as_str()))).collect();
        let levels = if levels.is_empty() { String::new() } else { format!(": {}", levels.join(", ")) };
        let again = match self.repeated {
            0 => String::new(),
            repeated => format!(" ({repeated} of them in a second record of the same session, shown once)"),
        };
        let (sessions, commands, inputs) = (summary.sessions, summary.commands, summary.inputs);
        writeln!(out, "{}{levels}{again}", paint.bold(&format!("{} findings", summary.findings)))?;
        writeln!(
            out,
            "{}",
            paint.dim(&format!("{commands} commands of {sessions} sessions in {inputs} inputs met {rules} rules"))
        )
    }
}

fn print_heading(out: &mut impl Write, finding: &Finding, paint: Paint) -> io::Result<()> {
    let who = shown(finding.principal.as_deref(), "principal not known");
    writeln!(out, "{}", paint.bold(&who))?;
    let mut place = Vec::new();
    place.extend(finding.target.as_deref().map(|target| format!("on {}", safe(target))));
    place.extend(finding.run_as.as_deref().map(|user| format!("as {}", safe(user))));
    place.extend(finding.account.as_deref().map(|account| format!("account {}", safe(account))));
    place.extend(finding.region.as_deref().map(safe));
    place.extend(finding.session.as_deref().map(|session| format!("session {}", safe(session))));
    if !place.is_empty() {
        writeln!(out, "  {}", paint.dim(&place.join(", ")))?;
    }
    writeln!(
        out,
        "  {}",
        paint.dim(&format!("{} (written by the {})", safe(&finding.source.path), finding.source.trust))
    )?;
    writeln!(out)
}

fn print_finding(out: &mut impl Write, finding: &Finding, paint: Paint) -> io::Result<()> {
    let level = finding.level();
    let level = paint.level(level, &format!("{:>13}", level.as_str()));
    let techniques: Vec<String> = finding.rule.tags.iter().filter_map(|tag| technique(tag)).collect();
    writeln!(out, "{level}  {}  {}", paint.bold(&finding.rule.title), paint.dim(&techniques.join(" ")))?;
    if let Some(command) = &finding.command {
        let prompt = paint.dim(&safe(command.prompt.as_deref().unwrap_or("")));
        let place = format!("#{} at byte {}", command.n, command.offset.start);
        let mut lines = command.text.split('\n').map(|line| shorten(&safe(line)));
        writeln!(out, "{:15}{prompt}{}  {}", "", lines.next().unwrap_or_default(), paint.dim(&place))?;
        for line in lines.take(MAX_LINES) {
            writeln!(out, "{:15}{}{line}", "", paint.dim("> "))?;
        }
        for decoded in finding.decoded.iter().take(MAX_DECODED) {
            writeln!(out, "{:15}{} {}", "", paint.dim("runs"), shorten(&safe(decoded)))?;
        }
    }
    if let Some(call) = &finding.api_call {
        let error = call.error_code.as_deref().map(|code| format!(" ({})", safe(code))).unwrap_or_default();
        let from = call.source_ip.as_deref().map(|ip| format!(" from {}", safe(ip))).unwrap_or_default();
        let at = call.event_time.map(warden_session::timestamp::to_rfc3339).unwrap_or_default();
        writeln!(out, "{:15}{}{error}{from}  {}", "", safe(&call.event_name), paint.dim(&at))?;
        for matched in finding.matched.iter().filter(|matched| tells(&matched.field)).take(MAX_MATCHED) {
            writeln!(out, "{:15}{} {}", "", paint.dim(&safe(&matched.field)), shorten(&safe(&matched.value)))?;
        }
    }
    writeln!(out)
}

/// Whether a matched field says more than which call it was.
fn tells(field: &str) -> bool {
    !matches!(field, "" | "eventName" | "eventSource" | "errorCode")
}

/// Matched fields of an API call that are shown.
const MAX_MATCHED: usize = 4;
/// Lines of a command that are shown behind its first.
const MAX_LINES: usize = 8;
/// Decoded forms that are shown.
const MAX_DECODED: usize = 4;
/// Characters of a line that are shown.
const MAX_WIDTH: usize = 400;

fn shorten(line: &str) -> String {
    match line.char_indices().nth(MAX_WIDTH) {
        Some((at, _)) => {
            format!("{} … ({} more characters)", line.get(..at).unwrap_or(line), line.chars().count() - MAX_WIDTH)
        }
        None => line.to_owned(),
    }
}

fn technique(tag: &str) -> Option<String> {
    let id = tag.strip_prefix("attack.")?;
    id.strip_prefix('t')
        .filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
        .map(|digits| format!("T{digits}"))
}

fn shown(text: Option<&str>, otherwise: &str) -> String {
    text.map_or_else(|| otherwise.to_owned(), safe)
}

fn safe(text: &str) -> String {
    escape(text, Lines::Show)
}
