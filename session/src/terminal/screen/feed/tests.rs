use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::super::{Changes, Event, LineEnd, Screen, lines};
use super::push_row;

/// Output that scrolls, wraps, erases and colours.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => "[ -~]{0,14}".prop_map(String::into_bytes),
        6 => Just(b"\r\n".to_vec()),
        2 => prop::sample::select(vec!["日", "日本", "e\u{301}", "\u{200b}", "❤\u{fe0f}", "─", "\u{fffd}", "\u{fffc}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(vec!["\r", "\n", "\x08", "\t", "\x0b", "\x0c", "\u{1b}D", "\u{1b}M", "\u{1b}E", "\u{1b}c", "\u{1b}7", "\u{1b}8"])
            .prop_map(|text| text.as_bytes().to_vec()),
        3 => prop::sample::select(vec!["m", "K", "1K", "J", "1J", "2J", "X", "3P", "2@", "L", "M", "S", "T", "H", "A", "4b", "4h", "4l", "2;4r", "r", "8m", "28m"])
            .prop_map(|text| format!("\x1b[{text}").into_bytes()),
        2 => (30_u8..49).prop_map(|color| format!("\x1b[{color}m").into_bytes()),
        1 => (1_u8..9, 1_u8..20).prop_map(|(row, col)| format!("\x1b[{row};{col}H").into_bytes()),
        1 => prop::sample::select(vec!["47h", "47l", "1049h", "1049l", "6h", "6l", "J", "K"])
            .prop_map(|text| format!("\x1b[?{text}").into_bytes()),
        1 => "\x1b\\[[?>]?[0-9;]{0,5}[@-~]".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn cells(screen: &Screen, row: u16) -> Vec<Option<(String, super::Style)>> {
    (0..screen.size().1).map(|col| screen.cell(row, col).map(|cell| (cell.text.to_owned(), cell.style))).collect()
}

/// Has every row that scrolls off told by the emulator.
fn tell(screen: &mut Screen) {
    let watch = screen.machine.emulator.callbacks_mut();
    (watch.primary.painted, watch.alternate.painted) = (true, true);
}

/// What does not depend on how the output is cut: where a row begins is known to the piece of text.
fn texts(events: Vec<Event>) -> Vec<(String, bool, LineEnd)> {
    let line = |event| match event {
        Event::Line(line) => Some((line.text, line.alternate, line.end)),
        Event::Note(_) => None,
    };
    events.into_iter().filter_map(line).collect()
}

proptest! {
    /// A row that is read before it scrolls off is the row that the emulator tells, however the output is cut.
    #[test]
    fn rows_are_read_as_they_are_told(output in output(), rows in 1_u16..7, cols in 1_u16..24, cut in 1_usize..40) {
        let (mut screen, mut told, mut slow) = (Screen::new(rows, cols), Screen::new(rows, cols), Screen::new(rows, cols));
        let (mut events, mut events_told, mut events_slow) = (Vec::new(), Vec::new(), Vec::new());
        for piece in output.chunks(cut) {
            screen.feed(piece, &mut |event| events.push(event));
            tell(&mut told);
            told.feed(piece, &mut |event| events_told.push(event));
            for byte in piece.chunks(1) {
                tell(&mut slow);
                slow.feed(byte, &mut |event| events_slow.push(event));
            }
            let whole = |row| {
                let mut text = String::new();
                push_row(screen.machine.screen(), row, &mut text);
                text
            };
            prop_assert_eq!(lines::texts(screen.machine.screen()), (0..rows).map(whole).collect::<Vec<_>>());
        }
        prop_assert_eq!(&screen, &told);
        prop_assert_eq!(&events, &events_told);
        // A piece of text is inserted as a whole.
        if memchr::memmem::find(&output, b"4h").is_none() {
            prop_assert_eq!(&screen, &slow);
            prop_assert_eq!(texts(events), texts(events_slow));
        }
    }

    #[test]
    fn no_other_row_looks_different(
        outputs in prop::collection::vec((output(), prop::option::of((0_u16..9, 0_u16..26))), 1..5),
        rows in 1_u16..7, cols in 1_u16..24, cut in 1_usize..40,
    ) {
        let mut screen = Screen::new(rows, cols);
        prop_assert_eq!(screen.take_changes(), Changes { scrolled: 0, rows: 0..rows });
        for (output, size) in outputs {
            for piece in output.chunks(cut) {
                let before = screen.clone();
                screen.feed(piece, &mut |_| {});
                let changes = screen.take_changes();
                for row in (0..screen.size().0).filter(|row| !changes.rows.contains(row)) {
                    let was = cells(&before, row.saturating_add(changes.scrolled));
                    prop_assert!(cells(&screen, row) == was, "row {row}, {changes:?}");
                }
            }
            if let Some((rows, cols)) = size {
                screen.resize(rows, cols, &mut |_| {});
                let rows = screen.size().0;
                prop_assert_eq!(screen.take_changes(), Changes { scrolled: 0, rows: 0..rows });
            }
        }
    }
}
