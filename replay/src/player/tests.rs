use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use warden_rules::Level;

use super::view::View;
use super::{Ask, Cover, Key, List, Place, Player};
use crate::index::{Act, Builder, Index, MarkKind, Shared, Spot, Stage, Step, look};

/// 13:00:00 and so many milliseconds, on a day.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_352_400_000 + millis).unwrap()
}

/// A session: two commands, a pause of a minute, a gap, a resize.
fn session() -> Shared {
    let shared: Shared = Arc::new(RwLock::new(Index::default()));
    let mut builder = Builder::new(&shared, 512).unwrap();
    let acts: [(i64, Act<'_>); 8] = [
        (0, Act::Resize { rows: 4, cols: 20 }),
        (1000, Act::Output(b"$ ls\r\n")),
        (1500, Act::Output(b"file\r\n$ ")),
        (61_500, Act::Input(b"id\r")),
        (61_600, Act::Output(b"id\r\nuid=0\r\n$ ")),
        (62_000, Act::Mark(MarkKind::Gap, "2 messages of the agent are missing")),
        (63_000, Act::Output(b"\x1b[8mhid\x1b[28m\r\n$ ")),
        (64_000, Act::Output("\x1b]0;evil\u{202e}\x07bye\r\n".as_bytes())),
    ];
    let mut offset = 0;
    for (n, (millis, act)) in acts.into_iter().enumerate() {
        builder.step(&Step { at: at(millis), created: None, offset, n: n as u64, act }).unwrap();
        if let Act::Output(bytes) = act {
            offset += bytes.len() as u64;
        }
    }
    builder.mark_at(Spot::Offset(5), MarkKind::Command, 0, "ls".to_owned()).unwrap();
    builder.mark_at(Spot::Offset(17), MarkKind::Command, 1, "id".to_owned()).unwrap();
    builder.mark_at(Spot::Offset(17), MarkKind::Finding(Level::High), 1, "Identity read: id".to_owned()).unwrap();
    builder.finish().unwrap();
    shared
}

fn press(player: &mut Player, index: &Index, keys: &str) -> Option<Ask> {
    let mut ask = None;
    for c in keys.chars() {
        let key = match c {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Esc,
            '\t' => Key::Tab,
            '\u{8}' => Key::Backspace,
            '<' => Key::Left,
            '>' => Key::Right,
            '\u{1}' => Key::Home,
            '\u{5}' => Key::End,
            'v' => Key::Down,
            c => Key::Char(c),
        };
        ask = player.key(key, index);
    }
    ask
}

#[test]
fn keys_go_places() {
    let shared = session();
    let index = look(&shared);
    let rows: &[(&str, &str, usize)] = &[
        ("next command", "n", 2),
        ("the one after", "nn", 5),
        ("no further one", "nnn", 5),
        ("back again", "nnp", 2),
        ("next finding", "f", 5),
        ("back over it", "\u{5}F", 5),
        ("next gap", "g", 6),
        ("steps", "...", 3),
        ("steps back", "...,", 2),
        ("not before the beginning", ",", 0),
        ("end", "\u{5}", 8),
        ("beginning", "\u{5}\u{1}", 0),
        ("seconds", ":1.2\n", 2),
        ("minutes and seconds", ":1:02\n", 6),
        ("time of day", ":13:01:01.6\n", 5),
        ("time", ":2026-11-22T13:01:03Z\n", 7),
        ("byte", ":@6\n", 3),
        ("given up", ":@6\u{1b}", 0),
        ("taken back", ":1\u{8}\u{8}", 0),
        ("nonsense", ":abc\n", 0),
        ("five seconds of what is left without idle time", ">", 7),
        ("and back", ">>>><", 2),
        ("chosen in the list", "\t\n", 0),
        ("first of the commands", "\tv\n", 2),
        ("findings", "\t\tv\n", 5),
    ];
    for (name, keys, wanted) in rows {
        let mut player = Player::new(None, 1.0);
        press(&mut player, &index, keys);
        assert_eq!(player.pos, *wanted, "{name}");
    }
}

#[test]
fn time_goes_on_only_while_playing() {
    let shared = session();
    let index = look(&shared);
    // Ticks of 0.1 seconds.
    let rows: &[(&str, &str, u32, usize)] = &[
        ("plays from the start", "", 11, 2),
        ("paused", " ", 50, 1),
        ("twice as fast", "+", 6, 2),
        ("half as fast", "-", 11, 1),
        ("idle time is cut to two seconds", "", 36, 5),
        ("idle time in full", "i", 36, 3),
        ("idle time in full, to its end", "i", 616, 5),
        ("64 times, held at the end", "++++++++++++i", 11, 8),
        ("help holds it", "?", 50, 1),
    ];
    for (name, keys, ticks, wanted) in rows {
        let mut player = Player::new(None, 1.0);
        player.tick(0, &index);
        press(&mut player, &index, keys);
        (0..*ticks).for_each(|_| player.tick(100_000, &index));
        assert_eq!(player.pos, *wanted, "{name}");
    }
}

#[test]
fn it_opens_at_a_place() {
    let shared = session();
    let index = look(&shared);
    let rows = [("1:02", Some(6)), ("@6", Some(3)), ("x", None), ("1:2:3:4", None), ("-1", None)];
    for (text, wanted) in rows {
        assert_eq!(Place::parse(text).ok().map(|place| opened(place, &index).pos), wanted, "{text}");
    }
    assert_eq!(opened(Place::Command(1), &index).pos, 5);
    assert_eq!(opened(Place::Finding(1), &index).pos, 5);
    let none = opened(Place::Finding(2), &index);
    assert_eq!((none.pos, none.message.as_deref()), (0, Some("there is no finding 2")));
    assert!(!opened(Place::Command(1), &index).playing, "it opens there and waits");
    // A place that is not indexed yet is waited for.
    let none = opened(Place::Finding(1), &Index::default());
    assert_eq!((none.message, none.wanted), (None, Some(Place::Finding(1))));
}

fn opened(place: Place, index: &Index) -> Player {
    let mut player = Player::new(Some(place), 1.0);
    player.tick(0, index);
    player
}

#[test]
fn a_search_goes_from_hit_to_hit() {
    let shared = session();
    let index = look(&shared);
    let mut player = Player::new(None, 1.0);
    let Some(Ask::Search(pattern)) = press(&mut player, &index, "/^\\$|uid\n") else { panic!("no search") };
    let hits = index.search(&pattern).unwrap();
    let shown: Vec<&str> = hits.iter().map(|hit| hit.text.as_str()).collect();
    assert_eq!(shown, ["$ ls", "$ id", "uid=0", "$ hid", "$ bye"]);
    let mut stage = Stage::new(&shared);
    let mut ask = player.found(pattern.clone(), hits, &index);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let Some(Ask::Reveal(hit, pattern)) = ask else { panic!("no hit") };
        seen.push(stage.reveal(&hit, &pattern).unwrap());
        ask = press(&mut player, &index, "n");
    }
    // Nothing is known of when a row got its first prompt: it is there at the third moment.
    assert_eq!(seen, [2, 3, 5]);
    assert!(matches!(press(&mut player, &index, "N"), Some(Ask::Reveal(hit, _)) if hit.text == "uid=0"));
    press(&mut player, &index, "\u{1b}n");
    assert!(player.search.is_none());
    assert_eq!(player.pos, 2, "n is for commands again");
    let none = player.found(regex::Regex::new("zzz").unwrap(), Vec::new(), &index);
    assert!(none.is_none() && player.message.is_some());
    assert!(press(&mut player, &index, "/(\n").is_none());
    assert!(player.message.as_deref().is_some_and(|message| message.contains("unclosed")));
}

fn drawn(player: &Player, shared: &Shared, size: (u16, u16), color: bool) -> (Vec<String>, Buffer) {
    let mut stage = Stage::new(shared);
    let screen = stage.show(player.pos).unwrap();
    let index = look(shared);
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    View { player, index: &index, screen, raw: None, color }.draw(&mut buffer);
    let row = |y| (0..size.0).map(|x| buffer.cell((x, y)).unwrap().symbol()).collect::<String>();
    ((0..size.1).map(row).collect(), buffer)
}

#[test]
fn it_fits_any_window() {
    let shared = session();
    for size in [(1, 1), (19, 5), (20, 6), (40, 10), (80, 24), (160, 50), (300, 100)] {
        for keys in ["", "?", "x", "h", "l", "z", "/ab", "\u{5}h", "\t"] {
            let mut player = Player::new(None, 1.0);
            press(&mut player, &look(&shared), keys);
            drawn(&player, &shared, size, true);
        }
    }
}

#[test]
fn nothing_recorded_reaches_the_terminal() {
    let shared = session();
    let mut player = Player::new(None, 1.0);
    press(&mut player, &look(&shared), "\u{5}");
    let (rows, _) = drawn(&player, &shared, (80, 24), true);
    assert!(rows[0].contains("evil\\u{202e}"), "{}", rows[0]);
    assert!(rows.iter().all(|row| !row.contains(|c: char| c.is_control() || c == '\u{202e}')));
    // Concealed text is not shown, as on a terminal, unless hidden text is asked for.
    assert!(!rows.iter().any(|row| row.contains("hid")));
    press(&mut player, &look(&shared), "h");
    let (rows, _) = drawn(&player, &shared, (80, 24), true);
    assert!(rows.iter().any(|row| row.contains("$ hid")));
    assert!(rows.iter().any(|row| row.contains("concealed")), "{rows:#?}");
}

#[test]
fn without_colour_there_is_none() {
    let shared = session();
    let mut player = Player::new(None, 1.0);
    press(&mut player, &look(&shared), "\u{5}h\t");
    let (_, buffer) = drawn(&player, &shared, (120, 40), false);
    let reset = ratatui::style::Color::Reset;
    assert!(buffer.content().iter().all(|cell| cell.fg == reset && cell.bg == reset));
}

#[test]
fn the_true_wait_is_always_told() {
    let shared = session();
    let mut player = Player::new(None, 1.0);
    press(&mut player, &look(&shared), "...");
    let (rows, _) = drawn(&player, &shared, (80, 24), true);
    assert!(rows[23].contains("idle 1m00s, cut to 2.0s"), "{}", rows[23]);
    assert!(rows[23].contains("1 gap"), "{}", rows[23]);
}

#[test]
fn covers_and_lists_close() {
    let shared = session();
    let index = look(&shared);
    let mut player = Player::new(None, 1.0);
    press(&mut player, &index, "?");
    assert_eq!(player.cover, Cover::Help);
    press(&mut player, &index, "x");
    assert_eq!(player.cover, Cover::Raw(0));
    press(&mut player, &index, "v");
    assert_eq!(player.cover, Cover::Raw(1));
    press(&mut player, &index, "\u{1b}\t");
    assert_eq!((player.cover, player.list, player.list_open), (Cover::None, List::Commands, true));
    press(&mut player, &index, "\u{1b}q");
    assert!(!player.list_open && player.quit);
}
