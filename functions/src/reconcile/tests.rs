use super::*;
use crate::ledger::Scan;

const SESSION: &str = "eva-0123456789abcdef0";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

fn known(document: Option<&str>, ended: Option<i64>) -> Known {
    let facts = Facts {
        session: Some(SESSION.to_owned()),
        document: document.map(str::to_owned),
        started: Some(at(0)),
        ended: ended.map(at),
        ..Facts::default()
    };
    Known { facts, failed: false }
}

fn held(delivered: bool, kinds: &[&str]) -> Held {
    let receipt = |kind: &&str| Receipt {
        kind: (*kind).to_owned(),
        path: "x".to_owned(),
        version: None,
        etag: None,
        sha256: None,
        rules_version: String::new(),
        result: Scan::Whole,
        bytes: 0,
        commands: 0,
        findings: 0,
        deviations: Vec::new(),
        at: at(0),
    };
    let event_id = delivered.then(|| "event".to_owned());
    Held { facts: Some(Facts { event_id, ..Facts::default() }), receipts: kinds.iter().map(receipt).collect() }
}

fn standard(minute: i64, bucket: &str) -> Standard {
    let preferences =
        Preferences { exists: true, bucket: bucket.to_owned(), log_group: "/ssm".to_owned(), ..Preferences::default() };
    Standard { now: at(minute), since: at(-10), preferences: Some(preferences) }
}

type Row<'a> = (&'a str, Known, Held, Standard, &'a [&'a str]);

#[test]
fn sessions_are_held_against_records_and_calls() {
    const PORT: Option<&str> = Some("AWS-StartPortForwardingSessionToRemoteHost");
    let no_record = "A session without a record";
    let no_call = "A session that CloudTrail never delivered";
    let rows: &[Row<'_>] = &[
        ("running", known(None, None), held(true, &[]), standard(40, ""), &[]),
        ("just ended", known(None, Some(20)), held(true, &[]), standard(40, ""), &[]),
        ("ended", known(None, Some(5)), held(true, &[]), standard(40, ""), &[no_record]),
        ("read", known(None, Some(5)), held(true, &["transcript"]), standard(40, "logs"), &[]),
        ("streamed", known(None, Some(5)), held(true, &["log-stream"]), standard(40, ""), &[]),
        (
            "streamed only",
            known(None, Some(5)),
            held(true, &["log-stream"]),
            standard(40, "logs"),
            &["A session without a transcript"],
        ),
        ("CloudTrail is slow", known(None, None), held(false, &[]), standard(20, ""), &[]),
        ("not delivered", known(None, None), held(false, &[]), standard(40, ""), &[no_call]),
        ("neither", known(None, Some(5)), Held::default(), standard(40, ""), &[no_call, no_record]),
        (
            "port",
            known(PORT, Some(5)),
            held(true, &[]),
            standard(40, "logs"),
            &["A session of a kind that is never recorded"],
        ),
        ("own document", known(Some("Shell"), Some(5)), held(true, &["log-stream"]), standard(40, "logs"), &[]),
        ("failed", Known { failed: true, ..known(None, Some(5)) }, Held::default(), standard(40, ""), &[]),
        ("before us", known(None, Some(5)), Held::default(), Standard { since: at(1), ..standard(40, "") }, &[]),
    ];
    for (name, known, held, standard, expected) in rows {
        let titles: Vec<String> = judge(known, held, standard).into_iter().map(|told| told.draft.title).collect();
        assert_eq!(titles, *expected, "{name}");
    }
}

#[test]
fn documents_decide_what_is_recorded() {
    let rows = [
        (None, Recorded::ByPreferences),
        (Some("SSM-SessionManagerRunShell"), Recorded::ByPreferences),
        (Some("arn:aws:ssm:eu-central-1:111122223333:document/SSM-SessionManagerRunShell"), Recorded::ByPreferences),
        (Some("AWS-StartSSHSession"), Recorded::Never),
        (Some("arn:aws:ssm:eu-central-1::document/AWS-StartPortForwardingSession"), Recorded::Never),
        (Some("AWS-StartPortForwardingSessionToSocket"), Recorded::Never),
        (Some("AWS-StartInteractiveCommand"), Recorded::OutputOnly),
        (Some("OwnShell"), Recorded::ByDocument),
    ];
    for (document, expected) in rows {
        assert_eq!(Recorded::of(document), expected, "{document:?}");
    }
}

#[test]
fn what_is_told_again_is_told_in_the_same_words() {
    let first = judge(&known(None, Some(5)), &Held::default(), &standard(40, ""));
    let later = judge(&known(None, Some(5)), &Held::default(), &standard(4000, ""));
    let ids = |told: &[Observed]| told.iter().map(|told| told.finding_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&later));
}

#[test]
fn preferences_are_told_when_they_change() {
    let good = standard(0, "logs").preferences.unwrap();
    let title = |told: Option<Observed>| told.map(|told| told.draft.title);
    assert_eq!(title(changed(None, &good, 1)), None);
    assert_eq!(title(changed(Some(&good), &good, 1)), None);
    assert_eq!(title(changed(None, &Preferences::default(), 1)).as_deref(), Some("Sessions are recorded nowhere"));
    let nothing = Preferences { exists: true, ..Preferences::default() };
    assert_eq!(title(changed(Some(&good), &nothing, 1)).as_deref(), Some("Sessions are recorded nowhere any more"));
    let less = Preferences { bucket: String::new(), ..good.clone() };
    assert_eq!(title(changed(Some(&good), &less, 1)).as_deref(), Some("The session preferences were changed"));
}
