//! `warden export`: a session in another form.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use warden_rules::mask::Masker;

use crate::capture::Secrets;
use crate::cli::{Export, ExportForm};
use crate::exit::Exit;
use crate::export::asciicast::Version;
use crate::export::redact::Redactor;
use crate::export::survey::Survey;
use crate::export::telling::Teller;
use crate::export::{Policy, Source, asciicast, html, json, text, timesketch};
use crate::input::Input;
use crate::report::warn;
use crate::ruleset;

/// Fewest bytes of a key for digests.
const MIN_KEY: usize = 16;

/// Writes a session in the form that was asked for.
///
/// # Errors
/// An input that cannot be read or holds no terminal, rules with errors, an output that cannot be written to.
pub(crate) fn run(args: &Export) -> anyhow::Result<Exit> {
    match args.to {
        ExportForm::Streams | ExportForm::Pcap => bail!("`warden export --to streams|pcap` is not built yet"),
        _ => tell(args),
    }
}

fn tell(args: &Export) -> anyhow::Result<Exit> {
    let source = Source::new(Input::one(&args.path)?, Secrets::of(&args.keys)?);
    let rules = ruleset::load(&args.rules)?;
    let mut redactor = Redactor::new(policy(args)?)?;
    let survey = Survey::of(&source, &rules, &masker()?, &mut redactor)?;
    if survey.has_no_terminal() && args.to != ExportForm::Json && args.to != ExportForm::Timesketch {
        bail!("{}: a forwarded port has no terminal; export its streams or a pcap", args.path.display());
    }
    let teller = Teller::new(&source, &survey, &redactor)?;
    match &args.output {
        Some(path) => to_file(path, &mut |out| write(args, &teller, out))?,
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            write(args, &teller, &mut out)?;
            out.flush()?;
        }
    }
    say(&survey, &teller, &redactor);
    Ok(Exit::Incomplete.when(survey.is_incomplete() || survey.unlisted > 0))
}

fn write(args: &Export, teller: &Teller<'_>, out: &mut dyn Write) -> io::Result<()> {
    match args.to {
        ExportForm::Html => html::write(teller, out),
        ExportForm::Text => text::write(teller, out),
        ExportForm::Json => json::write(teller, out),
        ExportForm::Timesketch => timesketch::write(teller, out),
        _ => {
            let version = if args.v2 { Version::V2 } else { Version::V3 };
            if asciicast::write(teller, version, out)? {
                warn("bytes that are not UTF-8 became U+FFFD; `--to json` and `--to streams` keep them");
            }
            Ok(())
        }
    }
}

fn policy(args: &Export) -> anyhow::Result<Policy> {
    let key = match &args.redact_key {
        Some(path) => {
            let key = fs::read(path).with_context(|| format!("--redact-key {}", path.display()))?;
            if key.len() < MIN_KEY {
                bail!("--redact-key {}: fewer than {MIN_KEY} bytes", path.display());
            }
            Some(key)
        }
        None => None,
    };
    Ok(Policy { commands: args.redact, patterns: args.redact_pattern.clone(), key })
}

/// Masks secrets in findings, as `warden scan` does.
fn masker() -> anyhow::Result<Masker> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("no random bytes for a key"))?;
    Ok(Masker::new(&key))
}

/// Writes a file that only its owner can read: it is evidence. What stood there is replaced when all is written.
fn to_file(path: &Path, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = BufWriter::new(open().with_context(shown)?);
    write(&mut out).with_context(shown)?;
    out.flush().with_context(shown)
}

fn say(survey: &Survey, teller: &Teller<'_>, redactor: &Redactor) {
    if !survey.ending.others.is_empty() {
        warn(&format!("the record holds {} further sessions, which are not exported", survey.ending.others.len()));
    }
    if survey.unlisted > 0 {
        warn(&format!("{} marks beyond the limit are left out", survey.unlisted));
    }
    if redactor.overflown || teller.cuts.overflown {
        warn("there are more secrets than are looked for: some may be left");
    }
    for (place, deviation) in &survey.deviations {
        warn(&format!("at byte {place}: {deviation}"));
    }
    if !teller.cuts.all.is_empty() {
        warn(&format!("{} texts were removed from the output", teller.cuts.all.len()));
    }
}
