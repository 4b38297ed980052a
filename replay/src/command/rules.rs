//! `warden rules`: check, test, list, match, pack.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use warden_rules::{Event, Logsource, RuleSet, detect};

use crate::cli::{Format, Rules};
use crate::exit::Exit;
use crate::paint::Paint;
use crate::report::{Lines, complain, escape};
use crate::ruleset;

/// Longest line of events.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// Does what the verb says.
///
/// # Errors
/// Rules or events that cannot be read, standard output that cannot be written to.
pub(crate) fn run(verb: &Rules, paint: Paint) -> anyhow::Result<Exit> {
    match verb {
        Rules::Check { paths } => check(paths),
        Rules::Test { paths } => test(paths),
        Rules::List { paths, format } => list(paths, *format, paint),
        Rules::Pack { paths, output } => pack(paths, output),
        Rules::Match { rules, events, stats } => match_events(rules, events, *stats),
    }
}

fn check(paths: &[PathBuf]) -> anyhow::Result<Exit> {
    let loaded = ruleset::load_all(paths)?;
    ruleset::say(&loaded);
    let (rules, errors, warnings) = (loaded.set.rules().len(), loaded.errors.len(), loaded.warnings.len());
    writeln!(io::stdout(), "{rules} rules are good; {errors} errors, {warnings} warnings")?;
    Ok(Exit::Unreadable.when(errors > 0))
}

fn test(paths: &[PathBuf]) -> anyhow::Result<Exit> {
    let set = ruleset::load(paths)?;
    let mut out = io::stdout().lock();
    let (mut passed, mut failed, mut untested) = (0_usize, 0_usize, 0_usize);
    for rule in set.rules() {
        untested += usize::from(rule.cases.is_empty());
        for case in &rule.cases {
            if set.run_case(rule, case, |rule, line| detect::run_command_case(&set, rule, line)) {
                passed += 1;
                continue;
            }
            failed += 1;
            let name = case.name.as_deref().unwrap_or("case");
            let wanted = if case.expected { "should match and does not" } else { "should not match and does" };
            let place = format!("{}:{}:{}", rule.path, case.line, case.column);
            writeln!(
                out,
                "FAIL {}: {}: {} {wanted}",
                escape(&place, Lines::Show),
                rule.title,
                escape(name, Lines::Show)
            )?;
        }
    }
    writeln!(
        out,
        "{} rules: {passed} cases passed, {failed} failed; {untested} rules have no cases",
        set.rules().len()
    )?;
    Ok(Exit::Findings.when(failed > 0))
}

/// Only a set without errors is packed: what a pack leaves out nobody would miss.
fn pack(paths: &[PathBuf], output: &Path) -> anyhow::Result<Exit> {
    let set = ruleset::load(paths)?;
    let pack = set.to_pack();
    fs::write(output, &pack).with_context(|| output.display().to_string())?;
    let shown = escape(&output.display().to_string(), Lines::Show);
    writeln!(io::stdout(), "{shown}: {} rules, {} bytes, version {}", set.rules().len(), pack.len(), set.version())?;
    Ok(Exit::Clean)
}

fn list(paths: &[PathBuf], format: Format, paint: Paint) -> anyhow::Result<Exit> {
    let set = ruleset::load(paths)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for rule in set.rules() {
        if format == Format::Json {
            let line = json!({
                "id": rule.id, "title": rule.title, "level": rule.level, "status": rule.status,
                "logsource": rule.logsource, "tags": rule.tags, "path": rule.path,
            });
            writeln!(out, "{line}")?;
        } else {
            let level = paint.level(rule.level, &format!("{:<13}", rule.level.as_str()));
            writeln!(out, "{level} {}  {}", rule.title, paint.dim(&rule.path))?;
        }
    }
    out.flush()?;
    Ok(Exit::Clean)
}

/// One line of events.
#[derive(Debug, Deserialize)]
struct Line {
    logsource: Option<LogsourceFields>,
    event: Value,
}

/// A log source as events give it.
#[derive(Debug, Deserialize)]
struct LogsourceFields {
    product: Option<String>,
    category: Option<String>,
    service: Option<String>,
}

impl LogsourceFields {
    fn logsource(&self) -> Logsource {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Logsource::new(&text(&self.product), &text(&self.category), &text(&self.service))
    }
}

/// Matches events with the good rules; what is wrong with the others is said and shows in the exit code.
fn match_events(rules: &[PathBuf], events: &Path, stats: bool) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let (set, errors) = ruleset::load_good(rules)?;
    let load = begun.elapsed();
    let begun = Instant::now();
    let mut count = 0_u64;
    let mut bad = 0_u64;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut reader = open(events)?;
    let mut line = Vec::new();
    while read_line(&mut reader, &mut line)? {
        match serde_json::from_slice::<Line>(&line) {
            Ok(event) => write_matches(&mut out, &set, &event, count)?,
            Err(error) => {
                bad += 1;
                complain(&format!("error: {}: line {}: {error}", events.display(), count + 1));
                writeln!(out, "{}", json!({"n": count, "match": null}))?;
            }
        }
        count += 1;
    }
    out.flush()?;
    if stats {
        let seconds = begun.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate = count as f64 / seconds.max(f64::EPSILON);
        let (rules, load) = (set.rules().len(), load.as_millis());
        complain(&format!(
            "rules: {rules} load_ms: {load} events: {count} seconds: {seconds:.3} events_per_second: {rate:.0}"
        ));
    }
    Ok(Exit::Unreadable.when(bad > 0 || errors > 0))
}

fn write_matches(out: &mut impl Write, set: &RuleSet, line: &Line, n: u64) -> io::Result<()> {
    let logsource = line.logsource.as_ref().map(LogsourceFields::logsource);
    let ids = set.match_ids(logsource.as_ref(), &Event::from_json(&line.event));
    writeln!(out, "{}", json!({"n": n, "match": ids}))
}

fn open(path: &Path) -> anyhow::Result<Box<dyn io::BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// Reads the next line that is not blank.
fn read_line(reader: &mut dyn io::BufRead, line: &mut Vec<u8>) -> anyhow::Result<bool> {
    loop {
        line.clear();
        let read = reader.take(MAX_LINE).read_until(b'\n', line)?;
        anyhow::ensure!((read as u64) < MAX_LINE, "a line of events is longer than {MAX_LINE} bytes");
        if read == 0 {
            return Ok(false);
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            return Ok(true);
        }
    }
}
