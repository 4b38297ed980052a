use sha2::{Digest as _, Sha256};
use warden_aws::FetchError;

use super::*;
use crate::dedup::hex;
use crate::ledger::memory::Memory;

struct Case {
    folder: Arc<MemoryFolder>,
    ledger: Ledger,
    store: RuleStore,
    at: i64,
}

impl Case {
    fn new() -> Self {
        let folder = Arc::new(MemoryFolder::default());
        let ledger =
            Ledger::new(Arc::new(Memory::default()), "111122223333", "eu-central-1", SignedDuration::from_hours(1));
        let store = RuleStore::new(Some(folder.clone()), Some(ledger.clone()));
        Self { folder, ledger, store, at: 0 }
    }

    fn upload(&self, etag: &str, rules: &[(&str, &str)]) {
        let mut files = Vec::new();
        for (id, level) in rules {
            let (path, text) = (format!("{id}.yml"), rule(id, level));
            self.folder.put(&path, "x", text.as_bytes());
            files.push(serde_json::json!({"path": path, "sha256": hex(&Sha256::digest(&text))}));
        }
        let manifest = serde_json::json!({"version": 1, "files": files}).to_string();
        self.folder.put("manifest.json", etag, manifest.as_bytes());
    }

    /// A minute later: how many rules beside the library there are, and what is told.
    async fn look(&mut self) -> (usize, Vec<String>) {
        self.at += 60;
        let (rules, notices) = self.store.rules(Timestamp::from_second(self.at).unwrap()).await;
        self.store.confirm(Timestamp::from_second(self.at).unwrap()).await;
        let shipped = crate::shipped::rules().unwrap().rules().len();
        let lines =
            notices.into_iter().flat_map(|notice| std::iter::once(notice.draft.title).chain(notice.draft.notes));
        (rules.rules().len() - shipped, lines.collect())
    }

    fn restart(&mut self) {
        self.store = RuleStore::new(Some(self.folder.clone()), Some(self.ledger.clone()));
    }
}

fn rule(id: &str, level: &str) -> String {
    format!(
        "title: Rule {id}\nid: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c{id}\nlevel: {level}\n\
         logsource: {{product: aws, service: session-manager, category: command}}\n\
         detection:\n    one:\n        Invocation|contains: word{id}\n    condition: one\n"
    )
}

#[tokio::test]
async fn a_new_set_is_taken_and_what_it_takes_away_is_told() {
    let mut case = Case::new();
    case.upload("1", &[("11", "high"), ("12", "low")]);
    assert_eq!(case.look().await, (2, vec![]));
    case.upload("2", &[("11", "low")]);
    let (rules, told) = case.look().await;
    assert_eq!(rules, 1);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1].starts_with("lowered from high to low: Rule 11") && told[2].starts_with("removed: Rule 12"));
    assert_eq!(case.look().await, (1, vec![]));
    case.restart();
    assert_eq!(case.look().await, (1, vec![]));
}

#[tokio::test]
async fn a_broken_set_leaves_the_last_good_one() {
    let mut case = Case::new();
    case.upload("1", &[("11", "high")]);
    assert_eq!(case.look().await, (1, vec![]));
    case.upload("2", &[("11", "high"), ("12", "low")]);
    case.folder.put("12.yml", "x", b"title: another\n");
    let (rules, told) = case.look().await;
    assert_eq!((rules, told.len()), (1, 3));
    assert!(told[1].contains("12.yml is not the file that manifest.json means"), "{told:?}");
    // Once for each upload, and also for who starts now.
    assert_eq!(case.look().await, (1, vec![]));
    case.restart();
    let (rules, told) = case.look().await;
    assert_eq!((rules, told.last().map(String::as_str)), (1, Some("The last good set stays in use.")));
    // The file that the manifest means arrives late.
    case.folder.put("12.yml", "x", rule("12", "low").as_bytes());
    assert_eq!(case.look().await, (2, vec![]));
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_told_if_that_lasts() {
    let mut case = Case::new();
    let (rules, told) = case.look().await;
    assert_eq!((rules, told.last().map(String::as_str)), (0, Some("The shipped library is in use.")));
    case.upload("1", &[("11", "high")]);
    assert_eq!(case.look().await, (1, vec![]));
    case.folder.fail("manifest.json", FetchError::Throttled);
    assert_eq!(case.look().await, (1, vec![]));
    case.folder.fail("manifest.json", FetchError::Denied);
    assert_eq!(case.look().await.0, 1);
}

#[tokio::test]
async fn a_pack_is_the_whole_set_and_outlives_a_broken_one() {
    let mut case = Case::new();
    let set = RuleSet::load([("own.yml", rule("11", "high"))]).set;
    let put = |case: &Case, etag: &str, pack: &[u8], digest: &[u8]| {
        let file = serde_json::json!({"path": "rules.pack", "sha256": hex(&Sha256::digest(digest))});
        case.folder.put("rules.pack", "x", pack);
        let manifest = serde_json::json!({"version": 1, "pack": file}).to_string();
        case.folder.put("manifest.json", etag, manifest.as_bytes());
    };
    let pack = set.to_pack();
    put(&case, "1", &pack, &pack);
    case.at += 60;
    let (rules, told) = case.store.rules(Timestamp::from_second(case.at).unwrap()).await;
    // The first set is held against the shipped library.
    assert_eq!((rules.version(), told.len(), told[0].draft.notes.len()), (set.version(), 1, NAMED_LIMIT + 1));
    // Until that was told, it is told again, also by others.
    let again = RuleStore::new(Some(case.folder.clone()), Some(case.ledger.clone()));
    assert_eq!(again.rules(Timestamp::from_second(case.at).unwrap()).await.1, told);
    case.store.confirm(Timestamp::from_second(case.at).unwrap()).await;
    put(&case, "2", b"no pack", b"no pack");
    case.restart();
    case.at += 60;
    let (rules, told) = case.store.rules(Timestamp::from_second(case.at).unwrap()).await;
    assert_eq!(rules.version(), set.version());
    assert!(told[0].draft.notes[0].starts_with("rules.pack: "), "{:?}", told[0].draft.notes);
}

#[tokio::test]
async fn who_starts_reads_one_row_and_no_files() {
    let mut case = Case::new();
    case.upload("1", &[("11", "high")]);
    assert_eq!(case.look().await, (1, vec![]));
    case.folder.fail("11.yml", FetchError::Throttled);
    case.restart();
    assert_eq!(case.look().await, (1, vec![]));
}
