//! `warden export`: a session in another form.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use warden_rules::mask::Masker;
use warden_session::Kind;

use crate::cli::{Export, ExportForm};
use crate::exit::Exit;
use crate::export::asciicast::Version;
use crate::export::redact::Redactor;
use crate::export::survey::Survey;
use crate::export::telling::Teller;
use crate::export::{Policy, Source, asciicast, html, json, pcap, streams, text, timesketch};
use crate::input::{Input, Opening};
use crate::report::{complain, warn, warn_incomplete};
use crate::ruleset;

/// What writes a form.
type Writer<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// Fewest bytes of a key for digests.
const MIN_KEY: usize = 16;

/// Writes a session in the form that was asked for.
///
/// # Errors
/// An input that cannot be read or holds no terminal, rules with errors, an output that cannot be written to.
pub(crate) fn run(args: &Export) -> anyhow::Result<Exit> {
    match args.to {
        ExportForm::Streams => take_apart(args),
        ExportForm::Pcap => packets(args),
        _ => tell(args),
    }
}

fn take_apart(args: &Export) -> anyhow::Result<Exit> {
    let Some(folder) = &args.output else { bail!("--to streams writes a folder: name it with -o DIR") };
    let opening = Opening::of(&args.reading)?;
    let input = Input::opened(&args.path, &opening)?;
    let written = streams::write(&input, &opening.secrets, folder, args.redact)?;
    for name in &written.files {
        complain(&folder.join(name).display().to_string());
    }
    if written.is_incomplete {
        warn_incomplete(&input.path);
    }
    Ok(Exit::Incomplete.when(written.is_incomplete))
}

fn packets(args: &Export) -> anyhow::Result<Exit> {
    let opening = Opening::of(&args.reading)?;
    let input = Input::opened(&args.path, &opening)?;
    if input.kind != Kind::Capture {
        bail!("{}: not a capture, which alone holds forwarded connections", input.path);
    }
    if args.redact {
        bail!("--to pcap holds what connections carried, whatever it is: it cannot be redacted");
    }
    let mut written = pcap::Written::default();
    to_output(args, &mut |out| {
        written = pcap::write(&input, &opening.secrets, out)?;
        Ok(())
    })?;
    if written.connections == 0 {
        warn(&format!("{}: no connection was forwarded", args.path.display()));
    }
    if written.left_out > 0 {
        warn(&format!("{} bytes that belong to no open connection are left out", written.left_out));
    }
    if written.is_incomplete {
        warn_incomplete(&input.path);
    }
    Ok(Exit::Incomplete.when(written.is_incomplete))
}

fn tell(args: &Export) -> anyhow::Result<Exit> {
    let opening = Opening::of(&args.reading)?;
    let source = Source::new(Input::opened(&args.path, &opening)?, opening.secrets);
    let rules = ruleset::load(&args.rules)?;
    let mut redactor = Redactor::new(policy(args)?)?;
    let survey = Survey::of(&source, &rules, &masker()?, &mut redactor)?;
    if survey.has_no_terminal() && args.to != ExportForm::Json && args.to != ExportForm::Timesketch {
        bail!("{}: a forwarded port has no terminal; export its streams or a pcap", args.path.display());
    }
    let teller = Teller::new(&source, &survey, &redactor)?;
    to_output(args, &mut |out| write(args, &teller, out))?;
    say(&source.input.path, &survey, &teller, &redactor);
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

/// Writes to where the user wants it.
fn to_output(args: &Export, write: &mut Writer<'_>) -> anyhow::Result<()> {
    if let Some(path) = &args.output {
        return to_file(path, write);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out)?;
    Ok(out.flush()?)
}

/// Writes a file that only its owner can read: it is evidence.
fn to_file(path: &Path, write: &mut Writer<'_>) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = BufWriter::new(open().with_context(shown)?);
    write(&mut out).with_context(shown)?;
    out.flush().with_context(shown)
}

fn say(path: &str, survey: &Survey, teller: &Teller<'_>, redactor: &Redactor) {
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
    if survey.ending.capture.as_ref().is_some_and(|session| session.is_incomplete()) {
        warn_incomplete(path);
    }
    if !teller.cuts.all.is_empty() {
        warn(&format!("{} texts were removed from the output", teller.cuts.all.len()));
    }
}
