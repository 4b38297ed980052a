//! Sessions and API calls -> findings.
//!
//! Each invocation of a command gives two events, one whose `CommandLine` is the raw line and one whose `CommandLine` is
//! the invocation's normalised line: a rule matches the command if it matches one of them. Rules of the target's platform
//! (`product: linux|macos|windows, category: process_creation`, on Windows also `category: ps_script`) and rules of
//! `product: aws, service: session-manager, category: command` are tried on them. Beside the fields that Sigma knows
//! (`Image`, `ParentImage`, `User`, `LogonId`, `CurrentDirectory`, `ScriptBlockText`) events have:
//!
//! | field | value |
//! |---|---|
//! | `Session`, `Principal`, `Target`, `Account`, `Region`, `Document` | the session's, if known |
//! | `Platform` | `linux`, `macos` or `windows` |
//! | `Marks` | the command's marks, such as `hidden` or `repl` |
//! | `Via` | wrappers that were taken off (`sudo`, `bash -c`) |
//! | `Invocation` | the normalised line of the invocation, in both events; never the raw line, so that quoted or commented text does not match |
//! | `Writes` | files that the invocation writes, empties, replaces or removes |
//! | `Redirect` | redirections as `OPERATOR TARGET` |
//! | `PipesTo` | images of the programs that read its output |
//! | `PipedFrom` | normalised lines whose output it reads |
//!
//! These last five are absent for `sudo`, `env`, `sh -c` and other wrappers whose inner program has its own events. A
//! line given to an interpreter's own prompt has no `Image`.

use std::collections::{BTreeMap, BTreeSet};

use warden_session::command::{Mark, Origin};
use warden_session::session::Platform;

use warden_session::{ApiCall, Command, Session};

use crate::event::{Event, Value};
use crate::finding::{ApiCallRef, Finding, RuleRef, Source};
use crate::rule::{Logsource, Rule};
use crate::set::{Match, RuleSet};

mod event;
mod id;
mod pipeline;
mod writes;

pub use id::{COUNTED_LIMIT, Counts};

/// Most decoded lines of one finding.
const MAX_DECODED: usize = 32;

/// Tries rules on the commands and API calls of one input, in the input's order.
///
/// It counts equal commands, which makes the ids of findings: use one detector for each input, so that the same command
/// read from two inputs (a transcript and a log stream) gets the same id.
#[derive(Debug)]
pub struct Detector<'r> {
    set: &'r RuleSet,
    /// Where each rule stands in the set.
    places: BTreeMap<&'r str, usize>,
    seen: Counts,
}

/// What is known of an API call beyond its record. `None` = not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallContext {
    /// ARN of the principal that started the session which the call is about: `Warden.SessionOwner`.
    pub session_owner: Option<String>,
    /// Whether the target is on the user's list of guarded targets: `Warden.TargetInList`.
    pub target_in_list: Option<bool>,
}

impl<'r> Detector<'r> {
    /// A detector for one input.
    pub fn new(set: &'r RuleSet) -> Self {
        let places = set.rules().iter().enumerate().map(|(place, rule)| (rule.id.as_str(), place)).collect();
        Self { set, places, seen: Counts::default() }
    }

    /// A detector for the rest of an input whose beginning gave these counts.
    pub fn resume(set: &'r RuleSet, counts: Counts) -> Self {
        Self { seen: counts, ..Self::new(set) }
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.seen
    }

    /// The findings of a command, one for each rule that matches it, in the order of the rules. Their texts are as they
    /// are: nothing is masked yet.
    pub fn command_findings(&mut self, session: &Session, source: &Source, command: &Command) -> Vec<Finding> {
        let found = self.matches(session, command);
        let scope = session.id.as_ref().map_or(source.path.as_str(), warden_session::SessionId::as_str);
        let decoded = decoded(command);
        let findings = found.into_values().map(|(found, argv)| {
            let finding_id = id::finding_id(&mut self.seen, &found.rule.id, scope, &argv);
            let mut finding = finding(self.set, found, session, source, finding_id);
            finding.command = Some(command.clone());
            finding.decoded.clone_from(&decoded);
            finding
        });
        findings.collect()
    }

    /// The rules that match a command, by their place in the set, each with the words of what it matched first.
    fn matches(&self, session: &Session, command: &Command) -> BTreeMap<usize, (Match<'r>, Vec<String>)> {
        let own = [Logsource::new("aws", "command", "session-manager")];
        let process: Vec<Logsource> = match session.platform {
            Platform::Windows => {
                ["process_creation", "ps_script"].map(|what| Logsource::new("windows", what, "")).to_vec()
            }
            other => vec![Logsource::new(event::platform(other), "process_creation", "")],
        };
        let mut found = BTreeMap::new();
        for prepared in event::events(session, command) {
            let logsources = own.iter().filter(|_| prepared.own).chain(process.iter().filter(|_| prepared.process));
            for logsource in logsources {
                for matched in self.set.matches(Some(logsource), &prepared.event) {
                    let place = self.places.get(matched.rule.id.as_str()).copied().unwrap_or_default();
                    found.entry(place).or_insert_with(|| (matched, prepared.argv.clone()));
                }
            }
        }
        found
    }

    /// The findings of an API call, one for each rule that matches it, in the order of the rules. Their texts are as they
    /// are: nothing is masked yet.
    pub fn api_call_findings(&mut self, source: &Source, call: &ApiCall, context: &CallContext) -> Vec<Finding> {
        let event = call_event(call, context);
        let logsource = Logsource::new("aws", "", "cloudtrail");
        let offset = format!("{}:{}", source.path, call.offset.start);
        let scope = call.event_id.as_deref().unwrap_or(&offset);
        let found = self.set.matches(Some(&logsource), &event).into_iter().map(|found| {
            // An event is delivered more than once at times: its findings keep their id.
            let finding_id = id::finding_id(&mut Counts::default(), &found.rule.id, scope, &[]);
            let mut finding = finding(self.set, found, &call.facts, source, finding_id);
            finding.session = call.session.as_ref().or(call.facts.id.as_ref()).map(ToString::to_string);
            finding.api_call = Some(in_short(call));
            finding
        });
        found.collect()
    }
}

/// Whether a rule of this set matches a command line: how the `command:` cases of rules are run. The line is read as
/// PowerShell if the rule is for Windows.
///
/// ```
/// use warden_rules::{RuleSet, detect};
/// let text = r"
/// title: Password hashes read
/// id: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c12
/// level: high
/// logsource: {product: aws, service: session-manager, category: command}
/// detection:
///     path:
///         Invocation|contains: /etc/shadow
///     listing:
///         Image|endswith: [/ls, /echo]
///     condition: path and not listing
/// ";
/// let set = RuleSet::load([("shadow.yml", text)]).set;
/// let rule = &set.rules()[0];
/// assert!(detect::run_command_case(&set, rule, "sudo bash -c 'cat /etc/shadow'"));
/// assert!(!detect::run_command_case(&set, rule, "sudo ls -l /etc/shadow"));
/// ```
pub fn run_command_case(set: &RuleSet, rule: &Rule, line: &str) -> bool {
    let windows = rule.logsource.product.as_deref() == Some("windows");
    let platform = if windows { Platform::Windows } else { Platform::Linux };
    let session = Session { platform, ..Session::default() };
    let command = typed(line, platform);
    let own = rule.logsource.service.as_deref() == Some("session-manager");
    event::events(&session, &command)
        .iter()
        .any(|prepared| (if own { prepared.own } else { prepared.process }) && set.rule_matches(rule, &prepared.event))
}

/// A command as if this line had been typed in a session of that platform.
pub fn typed(line: &str, platform: Platform) -> Command {
    Command::of_text(line, platform, Origin::Screen)
}

fn finding(set: &RuleSet, found: Match<'_>, session: &Session, source: &Source, finding_id: String) -> Finding {
    let rule = found.rule;
    Finding {
        finding_id,
        rule: RuleRef {
            id: rule.id.clone(),
            title: rule.title.clone(),
            level: rule.level.as_str().to_owned(),
            tags: rule.tags.clone(),
            hash: rule.hash.clone(),
        },
        rules_version: set.version().to_owned(),
        session: session.id.as_ref().map(ToString::to_string),
        principal: session.principal.clone(),
        target: session.target.clone(),
        account: session.account.clone(),
        region: session.region.clone(),
        run_as: session.run_as.clone(),
        source: source.clone(),
        command: None,
        api_call: None,
        matched: found.matched,
        decoded: Vec::new(),
    }
}

/// What the command becomes when it runs, where that differs from its text.
fn decoded(command: &Command) -> Vec<String> {
    if command.marks.contains(&Mark::Repl) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let lines = command
        .invocations
        .iter()
        .filter(|invocation| invocation.decoded)
        .map(warden_session::Invocation::command_line);
    lines.filter(|line| seen.insert(line.clone())).take(MAX_DECODED).collect()
}

/// The record, and `Warden.*`: what is known beyond it.
fn call_event<'a>(call: &'a ApiCall, context: &'a CallContext) -> Event<'a> {
    let mut event = Event::from_json(&call.record);
    let flag = |value: Option<bool>| value.map_or(Value::Null, |value| if value { "true" } else { "false" }.into());
    event.push("Warden.SessionOwner", context.session_owner.as_deref());
    event.push("Warden.ActorIsOwner", flag(actor_is_owner(call, context)));
    event.push("Warden.TargetCount", target_count(call).map(|count| count.to_string()));
    event.push("Warden.TargetInList", flag(context.target_in_list));
    event.push("Warden.Mfa", flag(call.mfa));
    event
}

/// Whether the caller of TerminateSession or ResumeSession is who started the session. Without the owner's ARN the name
/// in the session id is compared, which is the caller's user name or role session name.
fn actor_is_owner(call: &ApiCall, context: &CallContext) -> Option<bool> {
    let actor = call.facts.principal.as_deref()?;
    if let Some(owner) = &context.session_owner {
        return Some(owner == actor);
    }
    let name = call.session.as_ref()?.name();
    Some(actor.rsplit(['/', ':']).next() == Some(name) || (name == "root" && actor.ends_with(":root")))
}

/// Targets that a call reaches: what the service counted, or what the call names.
fn target_count(call: &ApiCall) -> Option<u64> {
    let counted = call.record.pointer("/responseElements/command/targetCount").and_then(serde_json::Value::as_u64);
    counted.filter(|count| *count > 0).or_else(|| u64::try_from(call.targets.len()).ok().filter(|count| *count > 0))
}

fn in_short(call: &ApiCall) -> ApiCallRef {
    ApiCallRef {
        event_id: call.event_id.clone(),
        event_name: call.event_name.clone(),
        event_time: call.event_time,
        source_ip: call.source_ip.clone(),
        user_agent: call.user_agent.clone(),
        error_code: call.error_code.clone(),
    }
}
