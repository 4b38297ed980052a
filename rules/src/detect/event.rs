//! Commands -> events that rules are tried on.

use warden_session::command::Mark;
use warden_session::session::Platform;
use warden_session::{Command, Invocation, Session};

use super::pipeline::{Shape, Shapes};
use super::writes::writes;
use crate::event::Event;

/// Programs that leave their place to another one: rules of `service: session-manager` are tried on what they start.
const TRANSPARENT: [&str; 27] = [
    "sudo", "doas", "env", "nohup", "nice", "ionice", "timeout", "stdbuf", "time", "command", "builtin", "exec", "setsid",
    "busybox", "toybox", "eval", "su", "sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "xargs", "noglob", "watch",
];
/// Most invocations of one command that get events: what follows is padding, or a loop unrolled.
const MAX_INVOCATIONS: usize = 1024;
/// Longest value of a field, in bytes. Padding a line past it hides no program: each invocation has its own event.
const MAX_VALUE: usize = 64 * 1024;

/// An event made of a command.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) event: Event<'a>,
    /// Whether rules of `service: session-manager` are tried.
    pub(super) own: bool,
    /// Whether rules about processes and script blocks are tried.
    pub(super) process: bool,
    /// Words of the invocation; of the raw line if there is none.
    pub(super) argv: Vec<String>,
}

/// The events of a command in a session.
pub(super) fn events<'a>(session: &'a Session, command: &'a Command) -> Vec<Prepared<'a>> {
    let windows = session.platform == Platform::Windows;
    let maker = Maker { session, command, windows };
    if command.marks.contains(&Mark::Repl) {
        return vec![maker.raw(&Shape::default(), None, false)];
    }
    let invocations = command.invocations.get(..MAX_INVOCATIONS).unwrap_or(&command.invocations);
    let shapes = if windows { Shapes::default() } else { Shapes::read(&command.text, invocations) };
    let mut folder = command.cwd.clone();
    let mut events = Vec::new();
    for (at, invocation) in invocations.iter().enumerate() {
        let transparent = is_transparent(invocation, invocations.get(at + 1..).unwrap_or_default());
        let shape = (!transparent).then(|| shapes.of(&invocation.argv));
        maker.forms(invocation, shape.as_ref(), folder.as_deref(), &mut events);
        if let [cd, path] = invocation.argv.as_slice()
            && cd == "cd"
            && path.starts_with('/')
        {
            folder = Some(path.clone());
        }
    }
    events.extend(shapes.bare.iter().map(|shape| maker.raw(shape, folder.as_deref(), false)));
    if events.is_empty() {
        events.push(maker.raw(&Shape::default(), None, true));
    }
    events
}

/// Whether a later invocation is what this one starts in its place.
fn is_transparent(invocation: &Invocation, later: &[Invocation]) -> bool {
    let Some(program) = invocation.argv.first() else { return false };
    let name = program.rsplit('/').next().unwrap_or(program);
    let depth = invocation.via.len();
    TRANSPARENT.contains(&name)
        && later.iter().any(|inner| {
            let label = inner.via.get(depth).and_then(|label| label.split(' ').next());
            inner.via.starts_with(&invocation.via) && label.is_some_and(|label| label == name || label == program)
        })
}

#[derive(Clone, Copy)]
struct Maker<'a> {
    session: &'a Session,
    command: &'a Command,
    windows: bool,
}

impl<'a> Maker<'a> {
    /// An event of the raw line alone.
    fn raw(self, shape: &Shape, folder: Option<&str>, process: bool) -> Prepared<'a> {
        let mut event = self.base();
        self.line(&mut event, self.command.text.clone());
        push_shape(&mut event, shape, folder, None, self.windows);
        let argv = self.command.text.split_whitespace().map(str::to_owned).collect();
        Prepared { event, own: true, process, argv }
    }

    /// The events of an invocation: one with the raw line, one with the normalised line if that differs. Without a
    /// shape it is a transparent wrapper.
    fn forms(self, invocation: &Invocation, shape: Option<&Shape>, folder: Option<&str>, events: &mut Vec<Prepared<'a>>) {
        let mut event = self.base();
        let program = invocation.argv.first().map_or("", String::as_str);
        event.push("Image", image(program, self.windows));
        event.push("ParentImage", self.parent(invocation));
        for wrapper in &invocation.via {
            event.push("Via", wrapper.clone());
        }
        let normalised = invocation.command_line();
        if let Some(shape) = shape {
            event.push("Invocation", bounded(normalised.clone()));
            push_shape(&mut event, shape, folder, Some(invocation), self.windows);
        }
        let raw = self.command.text.clone();
        for line in [Some(normalised).filter(|line| *line != raw), Some(raw)].into_iter().flatten() {
            let mut event = event.clone();
            self.line(&mut event, line);
            events.push(Prepared { event, own: shape.is_some(), process: true, argv: invocation.argv.clone() });
        }
        // The raw line first: its spans are those that a reader of the session sees.
        if let [.., normalised, raw] = events.as_mut_slice()
            && normalised.argv == raw.argv
        {
            std::mem::swap(normalised, raw);
        }
    }

    fn line(self, event: &mut Event<'a>, line: String) {
        if self.windows {
            event.push("ScriptBlockText", bounded(line.clone()));
        }
        event.push("CommandLine", bounded(line));
    }

    /// What the session and the command say, whatever the program.
    fn base(self) -> Event<'a> {
        let Self { session, command, .. } = self;
        let mut event = Event::new();
        let id = session.id.as_ref().map(warden_session::SessionId::as_str);
        for (field, value) in [
            ("User", command.user.as_deref().or(session.run_as.as_deref())),
            ("CurrentDirectory", command.cwd.as_deref()),
            ("LogonId", id),
            ("Session", id),
            ("Principal", session.principal.as_deref()),
            ("Target", session.target.as_deref()),
            ("Account", session.account.as_deref()),
            ("Region", session.region.as_deref()),
            ("Document", session.document.as_deref()),
        ] {
            if let Some(value) = value {
                event.push(field, value);
            }
        }
        event.push("Platform", platform(session.platform));
        for mark in &command.marks {
            if let Ok(serde_json::Value::String(mark)) = serde_json::to_value(mark) {
                event.push("Marks", mark);
            }
        }
        event
    }

    fn parent(self, invocation: &Invocation) -> String {
        let wrapper = invocation.via.last().and_then(|label| label.split(' ').next());
        match wrapper {
            Some(wrapper) => image(wrapper, self.windows),
            None if self.windows => r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe".to_owned(),
            None => "/usr/bin/sh".to_owned(),
        }
    }
}

fn push_shape(event: &mut Event<'_>, shape: &Shape, folder: Option<&str>, invocation: Option<&Invocation>, windows: bool) {
    for file in writes(invocation, &shape.redirects, folder) {
        event.push("Writes", file);
    }
    for redirect in &shape.redirects {
        event.push("Redirect", redirect.clone());
    }
    for program in &shape.pipes_to {
        event.push("PipesTo", image(program, windows));
    }
    for line in &shape.piped_from {
        event.push("PipedFrom", line.clone());
    }
}

/// The name that rules give a platform.
pub(super) fn platform(platform: Platform) -> &'static str {
    match platform {
        Platform::Linux => "linux",
        Platform::Macos => "macos",
        Platform::Windows => "windows",
    }
}

/// The path of a program; a bare name is put where programs usually are.
pub(super) fn image(program: &str, windows: bool) -> String {
    if !windows {
        return if program.contains('/') { program.to_owned() } else { format!("/usr/bin/{program}") };
    }
    let program = program.replace('/', "\\");
    let extension = program.rsplit('\\').next().is_some_and(|name| name.contains('.'));
    let program = if extension { program } else { format!("{program}.exe") };
    if program.contains('\\') { program } else { format!(r"C:\Windows\System32\{program}") }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_VALUE {
        let end = (0..=MAX_VALUE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
    }
    text
}
