//! Commands from both directions: what was typed against what the screen showed.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use warden_session::command::{Confidence, Mark, Origin};
use warden_session::timeline::{Direction, Event, Fidelity, What};
use warden_session::{Command, Item, Timeline};

/// One thing that happens, a second after the one before.
#[derive(Clone, Copy)]
enum M {
    /// The client types.
    K(&'static str),
    /// The terminal prints.
    O(&'static str),
    /// The window changes.
    R(u16),
    /// Messages of this direction are missing.
    G(Direction),
}
use M::{G, K, O, R};

fn read(moments: &[M]) -> Vec<Command> {
    let whole = read_in_pieces(moments, usize::MAX);
    assert_eq!(whole, read_in_pieces(moments, 1), "messages may be cut anywhere");
    whole
}

fn read_in_pieces(moments: &[M], piece: usize) -> Vec<Command> {
    let mut timeline = Timeline::new(Fidelity::Exact);
    let (mut commands, mut typed, mut shown) = (Vec::new(), 0_u64, 0_u64);
    let mut at = Timestamp::UNIX_EPOCH;
    let mut keep = |item| {
        if let Item::Command(_, command) = item {
            commands.push(*command);
        }
    };
    for moment in moments {
        at += SignedDuration::from_secs(1);
        let mut tell = |offset, what| timeline.event(&Event { offset, at: Some(at), what }, &mut keep);
        match moment {
            K(keys) => {
                for keys in keys.as_bytes().chunks(piece) {
                    let from = typed;
                    typed += keys.len() as u64;
                    tell(from..typed, What::Input(keys));
                }
            }
            O(text) => {
                for text in text.as_bytes().chunks(piece) {
                    let from = shown;
                    shown += text.len() as u64;
                    tell(from..shown, What::Output(text));
                }
            }
            R(cols) => tell(shown..shown, What::Resize { cols: *cols, rows: 24 }),
            G(direction) => tell(shown..shown, What::Gap { direction: *direction, messages: 1 }),
        }
    }
    timeline.finish(&mut keep);
    commands
}

#[test]
fn typed_and_shown_text_make_commands() {
    let rows: &[(&str, &[M], &[&str])] = &[
        ("echoed", &[O("sh$ "), K("id\r"), O("id\r\nuid=0\r\nsh$ ")], &["id"]),
        ("key by key", &[O("sh$ "), K("i"), O("i"), K("d"), O("d"), K("\r"), O("\r\nuid=0\r\nsh$ ")], &["id"]),
        ("erased", &[O("sh$ "), K("su\x7f\x7fid\r"), O("su\x08 \x08\x08 \x08id\r\nuid=0\r\nsh$ ")], &["id"]),
        (
            "completed",
            &[O("sh$ "), K("cat /etc/hostn\t\r"), O("cat /etc/hostname \r\nx\r\nsh$ ")],
            &["cat /etc/hostname "],
        ),
        ("recalled", &[O("sh$ "), K("\x1b[A\r"), O("make all\r\nok\r\nsh$ ")], &["make all"]),
        ("cancelled", &[O("sh$ "), K("rm -rf /\x03"), O("rm -rf /^C\r\nsh$ "), K("id\r"), O("id\r\nsh$ ")], &["id"]),
        ("tabs are kept", &[O("sh$ "), K("\x1b[200~a\tb\x1b[201~\r"), O("a       b\r\nsh$ ")], &["a\tb"]),
        ("never entered", &[O("sh$ "), K("id\r"), O("id\r\nsh$ "), K("rm -rf /"), O("rm -rf /")], &["id"]),
        (
            "typed ahead",
            &[O("sh$ "), K("id\rpwd\r"), O("id\r\n"), O("pwd\r\nuid=0\r\nsh$ pwd\r\n/\r\nsh$ ")],
            &["id", "pwd"],
        ),
        (
            "nobody typed what a file shows",
            &[O("sh$ "), K("cat n\r"), O("cat n\r\nsh$ rm -rf /\r\nsh$ "), K("id\r"), O("id\r\nsh$ ")],
            &["cat n", "id"],
        ),
        (
            "output between prompt and command",
            &[
                O("sh$ "),
                K("(sleep 1; echo x) &\r"),
                O("(sleep 1; echo x) &\r\nsh$ "),
                O("x\r\n"),
                K("id\r"),
                O("id\r\n"),
            ],
            &["(sleep 1; echo x) &", "id"],
        ),
        (
            "an answer to a program",
            &[
                O("sh$ "),
                K("rm -i x\r"),
                O("rm -i x\r\nremove? "),
                K("y\r"),
                O("y\r\nsh$ "),
                K("id\r"),
                O("id\r\nsh$ "),
            ],
            &["rm -i x", "id"],
        ),
        (
            "keys of a pager before the command",
            &[O("sh$ "), K("man x\r"), O("man x\r\nX\r\n:"), K("q"), O("\r\x1b[Ksh$ "), K("id\r"), O("id\r\nsh$ ")],
            &["man x", "id"],
        ),
        (
            "a wrap at the told width",
            &[R(20), O("sh$ "), K("echo aaaaaaaaaaaaaaaa\r"), O("echo aaaaaaaaaaa \raaaaa\r\nsh$ ")],
            &["echo aaaaaaaaaaaaaaaa"],
        ),
    ];
    for (name, moments, wanted) in rows {
        let commands = read(moments);
        assert_eq!(commands.iter().map(|command| command.text.as_str()).collect::<Vec<_>>(), *wanted, "{name}");
        assert!(commands.iter().all(|command| command.origin == Origin::Keys), "{name}");
    }
}

#[test]
fn lines_typed_without_echo_are_commands_where_a_shell_waits() {
    type Row = (&'static str, &'static [M], &'static [(&'static str, bool)]);
    let rows: &[Row] = &[
        (
            "no line editor",
            &[
                O("sh$ "),
                K("stty -echo\r"),
                O("stty -echo\r\nsh$ "),
                K("whoami\r"),
                O("root\r\nsh$ "),
                K("cd /\r"),
                O("sh$ "),
                K("id -un\r"),
                O("root\r\nsh$ "),
            ],
            &[("stty -echo", false), ("whoami", true), ("cd /", true), ("id -un", true)],
        ),
        (
            "a line editor",
            &[
                O("\x1b[?2004hsh$ "),
                K("stty -echo\r"),
                O("stty -echo\r\n\x1b[?2004l\r\x1b[?2004hsh$ "),
                K("whoami\r"),
                O("\x1b[?2004l\r\r\nroot\r\n\x1b[?2004hsh$ "),
            ],
            &[("stty -echo", false), ("whoami", true)],
        ),
        (
            "automation without a prompt",
            &[
                O("$ "),
                K("stty -echo\n"),
                O("stty -echo\r\n$ "),
                K("PS1=''\n"),
                K("echo BEGIN\nuname -r\necho END\n"),
                O("BEGIN\r\n6.1\r\nEND\r\n"),
                K("sudo -n id\n"),
                O("uid=0\r\n"),
            ],
            &[
                ("stty -echo", false),
                ("PS1=''", true),
                ("echo BEGIN", true),
                ("uname -r", true),
                ("echo END", true),
                ("sudo -n id", true),
            ],
        ),
        (
            "the record ends behind it",
            &[O("sh$ "), K("stty -echo\r"), O("stty -echo\r\nsh$ "), K("exit\r")],
            &[("stty -echo", false), ("exit", true)],
        ),
        (
            "a here-document",
            &[
                O("sh$ "),
                K("stty -echo\r"),
                O("stty -echo\r\nsh$ "),
                K("cat <<E\r"),
                O("> "),
                K("x\r"),
                O("> "),
                K("E\r"),
                O("x\r\nsh$ "),
            ],
            &[("stty -echo", false), ("cat <<E\nx\nE", true)],
        ),
    ];
    for (name, moments, wanted) in rows {
        let commands = read(moments);
        let found: Vec<(&str, bool)> =
            commands.iter().map(|command| (command.text.as_str(), command.marks.contains(&Mark::NoEcho))).collect();
        assert_eq!(found, *wanted, "{name}");
        let sure = |command: &Command| command.confidence == Confidence::High;
        assert!(commands.iter().all(|command| command.marks.contains(&Mark::NoEcho) != sure(command)), "{name}");
    }
}

#[test]
fn secrets_are_only_lengths() {
    let rows: &[(&str, &[M], u64)] = &[
        (
            "sudo",
            &[
                O("sh$ "),
                K("sudo id\r"),
                O("sudo id\r\n[sudo] password for x: "),
                K("hunter2\r"),
                O("\r\nuid=0\r\nsh$ "),
            ],
            7,
        ),
        (
            "read -s",
            &[
                O("sh$ "),
                K("read -s p\r"),
                O("read -s p\r\n"),
                K("hunter2\r"),
                O("\r\nsh$ "),
                K("id\r"),
                O("id\r\nsh$ "),
            ],
            7,
        ),
        (
            "ssh",
            &[O("sh$ "), K("ssh h\r"), O("ssh h\r\nx@h's password: "), K("hunter2\r"), O("\r\nLast login\r\nx@h:~$ ")],
            7,
        ),
        (
            "a read that was itself not echoed",
            &[
                O("sh$ "),
                K("stty -echo\r"),
                O("stty -echo\r\nsh$ "),
                K("read p\r"),
                K("hunter2\r"),
                O("sh$ "),
                K("id\r"),
                O("uid=0\r\nsh$ "),
            ],
            7,
        ),
        (
            "automation that answers",
            &[
                O("$ "),
                K("stty -echo\n"),
                O("stty -echo\r\n$ "),
                K("PS1=''\n"),
                K("sudo -S id\nhunter2\nid\n"),
                O("uid=0\r\nuid=1\r\n"),
            ],
            7,
        ),
        (
            "keystrokes missing before it",
            &[O("sh$ "), K("stty -echo\r"), O("stty -echo\r\nsh$ "), G(Direction::Input), K("hunter2\r"), O("sh$ ")],
            7,
        ),
        (
            "typed ahead of its prompt",
            &[O("sh$ "), K("su\rhunter2\r"), O("su\r\nPassword: \r\n# "), K("id\r"), O("id\r\n# ")],
            7,
        ),
        ("the last thing", &[O("sh$ "), K("su\r"), O("su\r\nPassword: "), K("hunter2\r")], 7),
    ];
    for (name, moments, length) in rows {
        let commands = read(moments);
        assert!(!format!("{commands:?}").contains("hunter2"), "{name}: {commands:?}");
        let hidden: u64 = commands.iter().flat_map(|command| &command.hidden_input).map(|hidden| hidden.length).sum();
        assert_eq!(hidden, *length, "{name}");
    }
}

/// A capture may hold an asterisk for each byte that was not echoed.
#[test]
fn masked_lines_are_lengths() {
    let commands = read(&[
        O("sh$ "),
        K("stty -echo\r"),
        O("stty -echo\r\nsh$ "),
        K("******\r"),
        O("root\r\nsh$ "),
        K("****\r"),
        O("sh$ "),
    ]);
    let found: Vec<_> = commands.iter().map(|command| (command.text.as_str(), command.hidden_input.len())).collect();
    assert_eq!(found, [("stty -echo", 2)]);
}

#[test]
fn keys_bind_commands_in_time() {
    let commands = read(&[O("sh$ "), K("id"), O("id"), K("\r"), O("\r\nuid=0\r\nsh$ ")]);
    let at = commands.first().unwrap().at.unwrap();
    assert_eq!(at, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(4), "when Enter was pressed");
}

#[test]
fn disagreement_is_marked() {
    // fish expands an abbreviation when Enter is pressed.
    let commands = read(&[
        O("\x1b[?2004hsh$ "),
        K("gco main"),
        O("gco main"),
        K("\r"),
        O("\x1b[8Dgit checkout main\r\n\x1b[?2004l\rok\r\n\x1b[?2004hsh$ "),
    ]);
    let last = commands.last().unwrap();
    assert!(last.marks.contains(&Mark::Mismatch) && last.confidence < Confidence::High, "{last:?}");
}

/// A key may be told to enter a whole line (`bind '"x":"…\C-m"'`): no Enter was pressed, and the command ran.
#[test]
fn keys_that_enter_lines_hide_nothing() {
    let commands = read(&[
        O("\x1b[?2004hsh$ "),
        K("id\r"),
        O("id\r\n\x1b[?2004l\rok\r\n\x1b[?2004hsh$ "),
        K("\x18"),
        O("rm -rf /\r\n\x1b[?2004l\r\x1b[?2004hsh$ "),
    ]);
    let last = commands.last().unwrap();
    assert_eq!((last.text.as_str(), last.confidence), ("rm -rf /", Confidence::Low));
    assert!(last.marks.contains(&Mark::Mismatch));
}

#[test]
fn lost_keystrokes_leave_the_screen() {
    let commands = read(&[O("sh$ "), K("id\r"), O("id\r\nsh$ "), G(Direction::Input), O("pwd\r\n/\r\nsh$ ")]);
    let found: Vec<_> = commands.iter().map(|command| (command.text.as_str(), command.origin)).collect();
    assert_eq!(found, [("id", Origin::Keys), ("pwd", Origin::Screen)]);
}

#[test]
fn lost_output_leaves_the_keys() {
    let moments = [
        O("sh$ "),
        K("id\r"),
        O("id\r\nsh$ "),
        K("seq 1 1500\r"),
        O("se"),
        G(Direction::Output),
        O("500\r\n1\r\nsh$ "),
    ];
    let last = read(&moments).pop().unwrap();
    assert_eq!((last.text.as_str(), last.marks.contains(&Mark::Mismatch)), ("seq 1 1500", true));
}

#[test]
fn documents_name_commands() {
    let mut commands = Vec::new();
    let mut timeline = Timeline::new(Fidelity::Exact);
    let event = Event { offset: 0..0, at: None, what: What::Program("id; tty") };
    timeline.event(&event, &mut |item| commands.push(item));
    let Some(Item::Command(_, command)) = commands.last() else { unreachable!("{commands:?}") };
    assert_eq!((command.text.as_str(), command.origin), ("id; tty", Origin::Api));
}

proptest! {
    /// Whatever is typed and printed, in whatever order.
    #[test]
    fn anything_is_read(moments in vec((any::<bool>(), prop_oneof![vec(any::<u8>(), 0..40), select(SNIPPETS).prop_map(|text| text.as_bytes().to_vec())]), 0..40)) {
        let mut timeline = Timeline::new(Fidelity::Exact);
        let mut typed = 0_u64;
        let mut shown = 0_u64;
        for (is_input, bytes) in &moments {
            let at = if *is_input { &mut typed } else { &mut shown };
            let offset = *at..*at + bytes.len() as u64;
            *at = offset.end;
            let what = if *is_input { What::Input(bytes) } else { What::Output(bytes) };
            timeline.event(&Event { offset, at: None, what }, &mut |_| {});
        }
        timeline.finish(&mut |_| {});
    }
}

/// Pieces of which sessions consist.
const SNIPPETS: &[&str] = &[
    "sh$ ",
    "id\r",
    "id\r\n",
    "\r\n",
    "\r",
    "\x1b[?2004h",
    "\x1b[?2004l\r",
    "stty -echo\r",
    "stty -echo\r\n",
    "PS1=''\r",
    "cat <<E\r",
    "> ",
    "\x7f",
    "\x15",
    "\x1b[A",
    "\t",
    "\x07",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "é",
];
