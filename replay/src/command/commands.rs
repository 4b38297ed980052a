//! `warden commands`: what was run, in order.

use std::io::{self, Write};

use serde_json::json;
use warden_session::command::Mark;
use warden_session::timeline::Deviation;
use warden_session::{Command, Item, Session};

use crate::cli::{Commands, Format};
use crate::exit::Exit;
use crate::input::{self, Input};
use crate::paint::Paint;
use crate::pipeline::{Completed, Known, Wholeness, in_order};
use crate::report::{Lines, escape};

/// What one input came to.
struct Outcome {
    path: String,
    text: Vec<u8>,
    wholeness: Wholeness,
}

/// Lists the commands of the inputs.
///
/// # Errors
/// Standard output that cannot be written to.
pub(crate) fn run(args: &Commands, paint: Paint) -> anyhow::Result<Exit> {
    let found = input::find(&args.inputs)?;
    let known = Known::of(&found.inputs);
    let mut exit = Exit::Unreadable.when(found.unreadable > 0);
    let mut out = io::BufWriter::new(io::stdout().lock());
    in_order(
        &found.inputs,
        "reading",
        |input| list(input, &known, args.format, paint),
        |outcome| {
            out.write_all(&outcome.text)?;
            outcome.wholeness.say(&outcome.path);
            exit = exit.max(Exit::Incomplete.when(outcome.wholeness.is_incomplete()));
            exit = exit.max(Exit::Unreadable.when(outcome.wholeness.error.is_some()));
            io::Result::Ok(())
        },
    )?;
    out.flush()?;
    Ok(exit)
}

fn list(input: &Input, known: &Known, format: Format, paint: Paint) -> Outcome {
    let mut completed = Completed::new(known);
    let mut outcome = Outcome { path: input.path.clone(), text: Vec::new(), wholeness: Wholeness::default() };
    let mut shown = None;
    let read = input.read(&mut |item| match item {
        Item::Command(session, command) => {
            let session = completed.session(&session);
            if format == Format::Json {
                push_json(&mut outcome.text, &session, &command);
            } else {
                if shown.as_ref() != Some(&session.id) {
                    push_heading(&mut outcome.text, &session, &input.path, paint);
                    shown = Some(session.id.clone());
                }
                push_text(&mut outcome.text, &command, paint);
            }
        }
        Item::Deviation(offset, deviation) => outcome.wholeness.note(offset, deviation),
        Item::Session(_) | Item::ApiCall(_) => {}
    });
    if completed.conflict {
        outcome.wholeness.note(0, Deviation::IdentityConflict);
    }
    outcome.wholeness.error = read.err().map(|error| error.to_string());
    outcome
}

fn push_json(out: &mut Vec<u8>, session: &Session, command: &Command) {
    let mut line = json!({"type": "command", "session": session.id});
    if let (Some(line), Ok(serde_json::Value::Object(fields))) = (line.as_object_mut(), serde_json::to_value(command)) {
        line.extend(fields);
    }
    let _ = writeln!(out, "{line}");
}

fn push_heading(out: &mut Vec<u8>, session: &Session, path: &str, paint: Paint) {
    let name = session.id.as_ref().map_or_else(|| "session without an id".to_owned(), |id| format!("session {id}"));
    let _ = writeln!(out, "{}  {}", paint.bold(&name), paint.dim(&escape(path, Lines::Show)));
    if let Some(principal) = &session.principal {
        let target = session.target.as_deref().unwrap_or("an unknown target");
        let _ = writeln!(
            out,
            "{}",
            paint.dim(&format!("  {} on {}", escape(principal, Lines::Show), escape(target, Lines::Show)))
        );
    }
}

fn push_text(out: &mut Vec<u8>, command: &Command, paint: Paint) {
    let prompt = command.prompt.as_deref().unwrap_or("");
    let mut lines = command.text.split('\n').map(|line| escape(line, Lines::Show));
    let first = lines.next().unwrap_or_default();
    let marks: Vec<&str> = command.marks.iter().filter(|mark| **mark != Mark::Edited).map(Mark::as_str).collect();
    let marks = if marks.is_empty() { String::new() } else { format!("  [{}]", marks.join(", ")) };
    let _ = writeln!(out, "{:>5}  {}{first}{}", command.n, paint.dim(&escape(prompt, Lines::Show)), paint.dim(&marks));
    for line in lines {
        let _ = writeln!(out, "       {}{line}", paint.dim("> "));
    }
    for hidden in &command.hidden_input {
        let _ = writeln!(out, "       {}", paint.dim(&format!("hidden input, {} bytes", hidden.length)));
    }
}
