#![allow(clippy::cast_possible_truncation, clippy::type_complexity, reason = "tests")]

use super::*;

/// Plays a session; what is stored of each typed message. Times count in steps of 10 ms; `~` lets 3 seconds pass.
fn play(steps: &[(char, &str)]) -> Vec<String> {
    let mut echo = Echo::default();
    let mut typed: Vec<(String, Option<usize>)> = Vec::new();
    let (mut at, mut input, mut output) = (0, 0, 0);
    for (side, text) in steps {
        at += 10;
        let mut judged = Vec::new();
        match side {
            '>' => {
                let id = typed.len() as u64;
                typed.push(((*text).to_owned(), echo.input(id, input, at, text.as_bytes())));
                input += 1;
            }
            '<' => {
                echo.output(output, text.as_bytes(), &mut |id, clear| judged.push((id, clear)));
                output += 1;
            }
            '=' => {
                let id = typed.len() as u64;
                typed.push(((*text).to_owned(), echo.input(id, input - 1, at, text.as_bytes())));
            }
            _ => {
                at += 3000;
                echo.give_up(at - ECHO_WAIT, &mut |id, clear| judged.push((id, clear)));
            }
        }
        for (id, clear) in judged {
            assert_eq!(typed[id as usize].1.replace(clear), None, "judged once");
        }
    }
    echo.give_up(i64::MAX, &mut |id, clear| {
        typed[id as usize].1.get_or_insert(clear);
    });
    typed
        .into_iter()
        .map(|(text, clear)| {
            let (maskable, clear) = (maskable(text.as_bytes()), clear.unwrap());
            let stored: Vec<u8> =
                text.bytes().enumerate().map(|(n, byte)| if n >= clear && maskable[n] { b'*' } else { byte }).collect();
            String::from_utf8_lossy(&stored).into_owned()
        })
        .collect()
}

#[test]
fn what_came_back_is_kept_and_the_rest_masked() {
    let rows: &[(&str, &[(char, &str)], &[&str])] = &[
        (
            "typed and echoed",
            &[('>', "l"), ('<', "l"), ('>', "s"), ('<', "s"), ('>', "\r"), ('<', "\r\n")],
            &["l", "s", "\r"],
        ),
        (
            "typed faster than it is echoed",
            &[('>', "l"), ('>', "s"), ('>', "\r"), ('<', "ls\r\nfile\r\n")],
            &["l", "s", "\r"],
        ),
        ("pasted", &[('>', "ls -la\r"), ('<', "ls -la\r\n")], &["ls -la\r"]),
        ("an echo in pieces", &[('>', "ls -la\r"), ('<', "ls "), ('<', "-la\r\n")], &["ls -la\r"]),
        (
            "password prompt",
            &[('<', "[sudo] password for a: "), ('>', "hunter2\r"), ('<', "\r\nroot\r\n")],
            &["*******\r"],
        ),
        (
            "read -s without words",
            &[('<', "? "), ('>', "h"), ('>', "i"), ('>', "\r"), ('<', "\r\nhi there\r\n")],
            &["*", "*", "\r"],
        ),
        ("no line end behind it", &[('>', "Sorry\r"), ('<', "Sonny")], &["*****\r"]),
        (
            "stars for echo",
            &[('<', "Password: "), ('>', "a"), ('<', "*"), ('>', "*"), ('<', "*"), ('>', "\r")],
            &["*", "*", "\r"],
        ),
        ("nothing comes", &[('>', "x"), ('~', ""), ('<', "x")], &["*"]),
        (
            "zsh draws the word anew",
            &[('>', "l"), ('<', "\x1b[4ml"), ('>', "s"), ('<', "\x08\x1b[32ml\x1b[32ms\x1b[39m")],
            &["l", "s"],
        ),
        ("inserted before text", &[('>', "X"), ('<', "Xdef\x08\x08\x08")], &["X"]),
        (
            "arrows and controls",
            &[('>', "\x1b[A"), ('<', "ls"), ('>', "\x03"), ('>', "\x1bOP"), ('>', "\t")],
            &["\x1b[A", "\x03", "\x1bOP", "\t"],
        ),
        ("vi's commands", &[('>', "j"), ('<', "\x1b[2;1H"), ('>', "k"), ('~', "")], &["*", "*"]),
        (
            "two lines, the second unechoed",
            &[('>', "sudo -S id\rhunter2\r"), ('<', "sudo -S id\r\n"), ('<', "uid=0\r\n"), ('~', "")],
            &["sudo -S id\r*******\r"],
        ),
        ("two lines, both echoed", &[('>', "ls\rid\r"), ('<', "ls"), ('<', "\r\n"), ('<', "id\r\n")], &["ls\rid\r"]),
        ("sent again", &[('<', "Password: "), ('>', "pw\r"), ('=', "pw\r")], &["**\r", "**\r"]),
        ("sent again while it waits", &[('>', "ls"), ('=', "ls"), ('<', "ls")], &["ls", "ls"]),
        ("a long output while it waits", &[('>', "e"), ('<', &"hello ".repeat(200)), ('~', "")], &["*"]),
        ("ä", &[('>', "ä"), ('<', "ä")], &["ä"]),
    ];
    for (name, steps, expected) in rows {
        assert_eq!(&play(steps), expected, "{name}");
    }
}

#[test]
fn a_session_without_a_terminal_is_kept() {
    let mut echo = Echo::default();
    echo.turn_off(&mut |_, _| {});
    assert_eq!(echo.input(0, 0, 0, b"GET / HTTP/1.1\r\n"), Some(16));
}

/// What is kept of the input of recorded shells, whose typing was all echoed but for keys that a program took.
#[test]
fn what_real_shells_echo_is_kept() {
    use base64::Engine as _;
    use warden_protocol::frame::decode;
    use warden_protocol::wire::{MessageType, PayloadType};

    let Ok(data) = std::env::var("WARDEN_DATA") else {
        eprintln!("skipped: WARDEN_DATA does not name the folder of recorded sessions");
        return;
    };
    let shells = [
        "a-simple-shell",
        "b-line-editing",
        "d-resize",
        "e7-interactive-elevated",
        "i1-drop-duplicate",
        "i3-pause-start",
        "i4-disconnect-resume",
        "j-forbidden",
        "k-cloudwatch-stream",
        "l-bulk-unicode",
    ];
    for shell in shells {
        let frames = std::fs::read_to_string(format!("{data}/made/captures/{shell}/frames.jsonl")).unwrap();
        let mut echo = Echo::default();
        let (mut typed, mut judged) = (Vec::new(), Vec::new());
        for line in frames.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let bytes = base64::engine::general_purpose::STANDARD.decode(line["b64"].as_str().unwrap()).unwrap();
            let Ok(decoded) = decode(bytes.into()) else { continue };
            let frame = decoded.frame;
            let at = (line["t"].as_f64().unwrap() * 1000.0) as i64;
            echo.give_up(at - ECHO_WAIT, &mut |id, clear| judged.push((id, clear)));
            let is_output = frame.payload_type == PayloadType::OUTPUT;
            if frame.message_type == MessageType::INPUT_STREAM_DATA && is_output {
                let id = typed.len() as Id;
                judged.extend(echo.input(id, frame.sequence_number, at, &frame.payload).map(|clear| (id, clear)));
                typed.push(frame.payload);
            } else if frame.message_type == MessageType::OUTPUT_STREAM_DATA {
                let printed = if is_output { &frame.payload[..] } else { &[] };
                echo.output(frame.sequence_number, printed, &mut |id, clear| judged.push((id, clear)));
            }
        }
        echo.give_up(i64::MAX, &mut |id, clear| judged.push((id, clear)));
        assert_eq!(judged.len(), typed.len(), "each message is judged once");
        let (mut all, mut kept, mut lost) = (0, 0, String::new());
        judged.sort_unstable();
        for (payload, (_, clear)) in typed.iter().zip(judged) {
            for (index, _) in maskable(payload).into_iter().enumerate().filter(|(_, is)| *is) {
                all += 1;
                kept += usize::from(index < clear);
                if index >= clear {
                    lost.push(payload[index].into());
                }
            }
        }
        eprintln!("{shell}: {kept} of {all} typed characters kept, without {lost:?}");
        assert!(kept * 100 >= all * 95, "{shell}: {kept} of {all}");
    }
}
