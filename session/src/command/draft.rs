//! A command on its way: what may still follow it, and what it lets the next prompt be.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::prompt::{PromptKind, directory, user};
use crate::command::{Command, Confidence, HiddenInput, Mark, Origin};
use crate::session::Platform;
use crate::shell::{Dialect, Invocation, Parsed, Unfinished, examine, parse};

/// A command that was accepted, kept until the next prompt shows that nothing belongs to it any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) prompt: String,
    pub(crate) kind: PromptKind,
    pub(crate) origin: Origin,
    pub(crate) confidence: Confidence,
    pub(crate) place: Range<u64>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) marks: BTreeSet<Mark>,
    /// The row ended in a bell: perhaps a completion that only listed candidates.
    pub(crate) rang: bool,
    /// What the shell still wants.
    pub(crate) wants: Option<Unfinished>,
    /// What the text starts, as far as it is here.
    #[serde(skip)]
    pub(crate) parsed: Parsed,
    /// What was typed without echo while it ran: only captures tell.
    #[serde(skip)]
    pub(crate) hidden: Vec<HiddenInput>,
}

/// Longest command, here-document included, in bytes.
pub(crate) const MAX_COMMAND: usize = 256 * 1024;

impl Draft {
    /// Reads the text: what the shell still wants, and what it starts if that is nothing.
    pub(crate) fn examine(&mut self, platform: Platform) {
        if self.kind == PromptKind::Repl {
            return;
        }
        if platform == Platform::Windows {
            self.wants = None;
            return self.parse(platform);
        }
        match examine(&self.text) {
            Ok(parsed) => (self.wants, self.parsed) = (None, parsed),
            Err(wanted) => self.wants = Some(wanted),
        }
    }

    fn parse(&mut self, platform: Platform) {
        self.parsed = parse(&self.text, Dialect::of(platform));
    }

    /// Reads again what is not saved.
    pub(crate) fn restore(&mut self, platform: Platform) {
        if self.kind != PromptKind::Repl && self.wants.is_none() {
            self.parse(platform);
        }
    }

    /// Adds a line that was typed at a continuation prompt.
    pub(crate) fn continue_with(&mut self, line: &str, place: &Range<u64>, platform: Platform) {
        self.place.end = place.end;
        if self.text.len() + line.len() >= MAX_COMMAND {
            self.marks.insert(Mark::Cut);
            return;
        }
        // A shell drops a backslash together with the line end behind it.
        if self.wants == Some(Unfinished::Backslash) {
            self.text.pop();
        } else {
            self.text.push('\n');
        }
        self.text.push_str(line);
        let inside = match &self.wants {
            Some(Unfinished::HereDoc { delimiter, tabs: true }) => line.trim_start_matches('\t') != delimiter,
            Some(Unfinished::HereDoc { delimiter, .. }) => line != delimiter,
            _ => false,
        };
        if !inside {
            self.examine(platform);
        }
    }

    /// The command, numbered.
    pub(crate) fn into_command(mut self, n: u64, platform: Platform) -> Command {
        if self.wants.is_some() {
            self.parse(platform);
        }
        let shell = self.kind != PromptKind::Repl;
        let mut marks = self.marks;
        marks.extend(self.parsed.marks);
        if !shell {
            marks.insert(Mark::Repl);
        }
        Command {
            n,
            user: shell.then(|| user(&self.prompt)).flatten(),
            cwd: shell.then(|| directory(&self.prompt)).flatten(),
            text: self.text,
            at: self.at,
            prompt: Some(self.prompt).filter(|prompt| !prompt.is_empty()),
            origin: self.origin,
            confidence: self.confidence,
            offset: self.place,
            marks,
            hidden_input: self.hidden,
            invocations: self.parsed.invocations,
        }
    }
}

/// What a command may lead to, judged by the programs that it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent permissions")]
pub(crate) struct License {
    /// Another shell, or another prompt of this one.
    pub(crate) shell: bool,
    /// An interpreter with a prompt of its own.
    pub(crate) repl: bool,
    /// A terminal multiplexer: shells inside a full screen.
    pub(crate) multiplexer: bool,
    /// A program that fills the screen and returns.
    pub(crate) full_screen: bool,
    /// The line editor's own marks may be gone from here on.
    pub(crate) unbracketed: bool,
}

impl License {
    /// What this command line lets follow.
    pub(crate) fn of(text: &str, invocations: &[Invocation]) -> Self {
        let prompts = ["PS1", "PROMPT", "prompt"].iter().any(|name| text.contains(name));
        let mut license = Self { unbracketed: text.contains("bracketed"), shell: prompts, ..Self::default() };
        for program in invocations.iter().filter_map(|invocation| invocation.argv.first()) {
            let program = program.rsplit('/').next().unwrap_or_default();
            let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            license.shell |= SHELLS.contains(&program);
            license.repl |= INTERPRETERS.contains(&stem) || (stem != program && INTERPRETERS.contains(&program));
            license.multiplexer |= MULTIPLEXERS.contains(&program);
            license.full_screen |= FULL_SCREEN.contains(&program);
        }
        license.shell |= license.multiplexer || license.repl;
        license
    }

    /// Whether a command explains that an outer prompt is back.
    pub(crate) fn returns(text: &str) -> bool {
        let mut words = text.split_whitespace();
        words.next().is_some_and(|word| ["exit", "logout", "quit", "bind", "exec", "detach"].contains(&word))
    }
}

/// Programs behind which another shell's prompt may stand.
#[rustfmt::skip]
const SHELLS: &[&str] = &[
    "su", "sudo", "doas", "bash", "sh", "dash", "zsh", "fish", "ksh", "mksh", "csh", "tcsh", "ash", "busybox",
    "rbash", "ssh", "mosh", "telnet", "docker", "podman", "nerdctl", "kubectl", "oc", "crictl", "ctr", "lxc",
    "machinectl", "chroot", "nsenter", "unshare", "script", "login", "newgrp", "sg", "runuser", "setpriv", "exec",
    "source", ".", "exit", "logout", "env", "nix-shell", "conda", "activate", "deactivate", "poetry", "pipenv",
    "screen", "expect", "socat", "nc", "ncat", "aws", "gcloud", "vagrant", "virsh", "pwsh", "powershell", "cmd", "at",
    "watch", "timeout", "setsid", "unbuffer", "strace", "systemd-run", "pkexec", "vim", "vi", "less", "more", "man",
    "awk", "find", "python", "perl", "ruby", "reset", "bind", "set", "fg",
];
/// Interpreters with a prompt of their own; version digits are taken off before the comparison.
#[rustfmt::skip]
const INTERPRETERS: &[&str] = &[
    "python", "python3", "python2", "ipython", "bpython", "perl", "ruby", "irb", "pry", "node", "nodejs", "deno",
    "bun", "lua", "php", "psql", "mysql", "mariadb", "sqlite", "sqlite3", "mongo", "mongosh", "redis-cli",
    "valkey-cli", "cqlsh", "sqlplus", "sqlcmd", "hive", "beeline", "gdb", "lldb", "pdb", "ftp", "sftp", "lftp",
    "smbclient", "bc", "dc", "R", "julia", "scala", "jshell", "ghci", "iex", "erl", "octave", "gnuplot", "telnet",
    "nslookup", "fdisk", "parted", "debugfs", "openssl", "ldapsearch", "rpcclient", "msfconsole", "manage.py",
    "rails", "clickhouse-client", "influx", "etcdctl", "zkCli.sh", "kafka", "gpg", "awscli", "aws-shell", "tclsh",
];
/// Programs that keep shells inside a full screen.
const MULTIPLEXERS: &[&str] = &["tmux", "screen", "zellij", "byobu", "dtach", "abduco", "mtm", "dvtm"];
/// Programs that fill the screen with what are not commands.
#[rustfmt::skip]
const FULL_SCREEN: &[&str] = &[
    "vi", "vim", "nvim", "view", "vimdiff", "nano", "pico", "emacs", "joe", "micro", "ne", "mcedit", "ed", "less",
    "more", "most", "man", "info", "top", "htop", "atop", "btop", "iotop", "iftop", "nmon", "mc", "ranger", "watch",
    "crontab", "visudo", "vipw", "sudoedit", "journalctl", "systemctl", "git", "tig", "dialog", "whiptail", "nmtui",
    "raspi-config", "aptitude", "ncdu", "lazygit", "k9s", "lynx", "w3m", "links", "elinks", "mutt", "weechat",
    "irssi", "cfdisk", "alsamixer", "bmon", "glances", "fzf", "psql", "mysql", "aws",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_license_what_follows_them() {
        let rows = [
            ("sudo su -", (true, false, false, false)),
            ("PS1='custom> '", (true, false, false, false)),
            ("python3.11 -q", (true, true, false, false)),
            ("/usr/bin/tmux new -s x", (true, false, true, false)),
            ("sudo vim /etc/hosts", (true, false, false, true)),
            ("cat notes.txt", (false, false, false, false)),
        ];
        for (text, wanted) in rows {
            let license = License::of(text, &parse(text, Dialect::Posix).invocations);
            assert_eq!((license.shell, license.repl, license.multiplexer, license.full_screen), wanted, "{text}");
        }
    }
}
