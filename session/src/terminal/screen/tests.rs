use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use super::{Event, Line, LineEnd, NoteKind, Screen};

fn play(rows: u16, cols: u16, output: &[u8]) -> (Screen, Vec<Line>, Vec<(NoteKind, String)>) {
    let (mut screen, mut lines, mut notes) = (Screen::new(rows, cols), Vec::new(), Vec::new());
    screen.feed(output, &mut |event| match event {
        Event::Line(line) => lines.push(line),
        Event::Note(note) => notes.push((note.kind, note.text)),
    });
    (screen, lines, notes)
}

#[test]
fn what_the_emulator_leaves_out_is_shown() {
    let rows: &[(&str, &[u8], &[&str])] = &[
        ("line drawing", b"\x1b(0lqk\x1b(Bq", &["┌─┐q", "", ""]),
        ("line drawing by shift", b"\x1b)0\x0eq\x0fq", &["─q", "", ""]),
        ("insert mode", b"ls\r\x1b[4hx\x1b[4ly", &["xys", "", ""]),
        ("index", b"a\x1bDb\x1bEc", &["a", " b", "c"]),
        ("saved by CSI", b"ab\x1b[s\x1b[3;1Hx\x1b[uc", &["abc", "", "x"]),
        ("relative moves", b"a\x1b[2ab\x1b[ec", &["a  b", "    c", ""]),
        ("not UTF-8", b"a\xffb", &["a\u{fffd}b", "", ""]),
        ("malformed sequence", b"\x1b[1?mls", &["ls", "", ""]),
        ("string cut by a line", b"\x1b]0;a\r\nls", &["", "ls", ""]),
        ("device control", b"\x1bPq\x07ls", &["ls", "", ""]),
        ("cancelled", b"\x1b[3\x18ls", &["ls", "", ""]),
    ];
    for (name, input, wanted) in rows {
        assert_eq!(play(3, 10, input).0.text(), *wanted, "{name}");
    }
}

type Noted = &'static [(NoteKind, &'static str)];

#[test]
fn what_is_hidden_is_noted() {
    let rows: &[(&str, &[u8], Noted)] = &[
        ("concealed", b"\x1b[8mrm x\x1b[28m ls", &[(NoteKind::Concealed, "rm x")]),
        ("a colour is no concealment", b"\x1b[38;5;8mls", &[]),
        ("erased", b"rm x\r\x1b[Kls", &[(NoteKind::Erased, "rm x")]),
        ("overwritten", b"rm x\rls  ", &[(NoteKind::Overwritten, "rm x")]),
        ("redrawn", b"$ ls\r$ ls", &[]),
        ("title", b"\x1b]0;t\x07\x1b]0;t\x07", &[(NoteKind::Title, "t")]),
        ("clipboard", b"\x1b]52;c;bHM=\x07", &[(NoteKind::Clipboard, "c;bHM=")]),
        ("link", b"\x1b]8;;http://x\x07y\x1b]8;;\x07", &[(NoteKind::Link, "http://x")]),
        ("bidi", "a\u{202e}b".as_bytes(), &[(NoteKind::Invisible, "\u{202e}")]),
        ("string", b"\x1b_x\x1b\\", &[(NoteKind::Unshown, "")]),
    ];
    for (name, input, wanted) in rows {
        let wanted: Vec<_> = wanted.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect();
        assert_eq!(play(3, 20, input).2, wanted, "{name}");
    }
}

#[test]
fn concealed_cells_are_marked() {
    let (screen, ..) = play(1, 10, b"\x1b[31ma\x1b[8mb\x1b[32mc\x1b[28md\x1b[8me\x1b[0mf");
    let concealed: Vec<bool> = (0..6).map(|col| screen.cell(0, col).unwrap().style.concealed).collect();
    assert_eq!(concealed, [false, true, true, false, true, false]);
}

#[test]
fn lines_leave_with_their_wraps_joined() {
    let (screen, lines, _) = play(2, 4, b"abcdefg\r\nx\r\ny\r\n\x1b[2Jz");
    let shown: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.shown.start, line.end)).collect();
    assert_eq!(shown, [("abcdefg", 0, LineEnd::Scrolled), ("x", 9, LineEnd::Scrolled), ("y", 12, LineEnd::Erased)]);
    let mut last = Vec::new();
    screen.finish(&mut |event| {
        if let Event::Line(line) = event {
            last.push((line.text, line.end));
        }
    });
    assert_eq!(last, [(String::new(), LineEnd::Last), ("z".to_owned(), LineEnd::Last)]);
}

#[test]
fn a_full_screen_program_leaves_its_screen() {
    let (screen, lines, _) = play(2, 10, b"sh$ vi\x1b[?1049h\x1b[2J\x1b[Hfile\x1b[?1049l");
    assert_eq!(lines.iter().map(|line| (&*line.text, line.alternate)).collect::<Vec<_>>(), [("file", true)]);
    assert_eq!(screen.text(), ["sh$ vi", ""]);
    assert!(!screen.is_alternate());
}

#[test]
fn any_size_is_held_to_what_a_screen_can_be() {
    let (mut screen, ..) = play(
        0,
        u16::MAX,
        "日[8m本
[999;999H語"
            .as_bytes(),
    );
    assert_eq!(screen.size(), (1, super::MAX_SIDE));
    for size in [(1, 1), (super::MAX_SIDE, super::MAX_SIDE), (1, 2), (0, 0)] {
        screen.resize(size.0, size.1, &mut |_| {});
        screen.feed(
            "日本[99b[5L[9@
"
            .as_bytes(),
            &mut |_| {},
        );
    }
    assert_eq!(screen.size(), (1, 1));
}

fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        "[ -~]{1,20}".prop_map(String::into_bytes),
        "\\PC{1,6}".prop_map(String::into_bytes),
        "\x1b\\[[?>]?[0-9;:]{0,9}[@-~]".prop_map(String::into_bytes),
        "\x1b[ -~]{1,3}".prop_map(String::into_bytes),
        "\x1b[\\]P_][0-9a-z;]{0,9}(\x07|\x1b\\\\|\n)".prop_map(String::into_bytes),
        Just(b"\r\n".to_vec()),
        Just(b"\x1b[?1049h".to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_clone_goes_on_as_the_screen_itself(
        output in output(), (rows, cols) in (1_u16..60, 1_u16..60), at in any::<prop::sample::Index>(),
        size in prop::option::of((0_u16..80, 0_u16..80)),
    ) {
        let (first, second) = output.split_at(at.index(output.len() + 1));
        let mut screen = Screen::new(rows, cols);
        screen.feed(first, &mut |_| {});
        let mut clone = screen.clone();
        let (mut events, mut cloned) = (Vec::new(), Vec::new());
        for (screen, events) in [(&mut screen, &mut events), (&mut clone, &mut cloned)] {
            if let Some((rows, cols)) = size {
                screen.resize(rows, cols, &mut |event| events.push(event));
            }
            screen.feed(second, &mut |event| events.push(event));
        }
        prop_assert_eq!(&events, &cloned);
        prop_assert_eq!(&screen, &clone);
        // Cuts change nothing that is seen.
        if size.is_none() {
            let mut whole = Screen::new(rows, cols);
            whole.feed(&output, &mut |_| {});
            prop_assert_eq!(&screen, &whole);
        }
        screen.finish(&mut |_| {});
    }
}
