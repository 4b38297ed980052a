//! What is wrong with a rule file: every problem, with its place and what to write instead.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "tables of a test")]

use warden_rules::{Level, Response, RuleError, RuleSet, Scope};

const HEAD: &str = "title: t\nid: 00000000-0000-4000-8000-000000000000\nlogsource: {product: linux}\n";

fn load_one(text: &str) -> (usize, Vec<RuleError>, Vec<RuleError>) {
    let loaded = RuleSet::load([("r.yml", text)]);
    (loaded.set.rules().len(), loaded.errors, loaded.warnings)
}

/// `line:column problem (suggestion)` of each error.
fn brief(errors: &[RuleError]) -> Vec<String> {
    let one = |error: &RuleError| {
        let suggestion = error.suggestion.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
        format!("{}:{} {}{suggestion}", error.line, error.column, error.problem)
    };
    errors.iter().map(one).collect()
}

/// Rows of a name, what follows [`HEAD`] (from line 4), and the errors.
#[test]
fn detections() {
    for (name, text, expected) in [
        (
            "unknown modifier",
            "detection:\n  s:\n    F|contain: x\n  condition: s",
            "6:7 unknown modifier `contain` (did you mean `contains`?)",
        ),
        (
            "unknown second modifier",
            "detection:\n  s:\n    F|contains|al: x\n  condition: s",
            "6:16 unknown modifier `al` (did you mean `all`?)",
        ),
        (
            "unknown modifier in quotes",
            "detection:\n  s:\n    'F|endwith': x\n  condition: s",
            "6:8 unknown modifier `endwith` (did you mean `endswith`?)",
        ),
        ("empty modifier", "detection:\n  s:\n    F|: x\n  condition: s", "6:7 unknown modifier ``"),
        (
            "two places",
            "detection:\n  s:\n    F|contains|endswith: x\n  condition: s",
            "6:16 modifier `endswith` cannot be used here: only one of `contains`, `startswith` and `endswith` can be used",
        ),
        (
            "twice",
            "detection:\n  s:\n    F|all|all: [x, y]\n  condition: s",
            "6:11 modifier `all` cannot be used here: it stands twice",
        ),
        (
            "flag without re",
            "detection:\n  s:\n    F|i: x\n  condition: s",
            "6:7 modifier `i` cannot be used here: it belongs after `re`",
        ),
        (
            "re not first",
            "detection:\n  s:\n    F|contains|re: x\n  condition: s",
            "6:16 modifier `re` cannot be used here: it comes before every other modifier",
        ),
        (
            "cased re",
            "detection:\n  s:\n    F|re|cased: x\n  condition: s",
            "6:10 modifier `cased` cannot be used here: regular expressions are case-sensitive unless `i` follows `re`",
        ),
        (
            "encoding after place",
            "detection:\n  s:\n    F|contains|base64: x\n  condition: s",
            "6:16 modifier `base64` cannot be used here: encodings come before `contains`, `startswith` and `endswith`",
        ),
        (
            "exists and contains",
            "detection:\n  s:\n    F|exists|contains: true\n  condition: s",
            "6:14 modifier `contains` cannot be used here: what it modifies is no text",
        ),
        (
            "two comparisons",
            "detection:\n  s:\n    F|lt|gt: 1\n  condition: s",
            "6:10 modifier `gt` cannot be used here: only one comparison can be made",
        ),
        (
            "exists of a text",
            "detection:\n  s:\n    F|exists: x\n  condition: s",
            "6:15 `exists` must be true or false",
        ),
        (
            "comparison with text",
            "detection:\n  s:\n    F|gt: x\n  condition: s",
            "6:11 a compared value must be a number",
        ),
        (
            "modified null",
            "detection:\n  s:\n    F|contains: null\n  condition: s",
            "6:17 a modified value must be something, not null (for the text, write it in quotes: \"null\")",
        ),
        (
            "bad regex",
            "detection:\n  s:\n    F|re: 'a('\n  condition: s",
            "6:11 bad regular expression: unclosed group",
        ),
        (
            "look-ahead",
            "detection:\n  s:\n    F|re: 'a(?!b)'\n  condition: s",
            "6:11 bad regular expression: look-around, including look-ahead and look-behind, is not supported (Sigma has no look-around: use a second selection and `not`)",
        ),
        (
            "huge regex",
            "detection:\n  s:\n    F|re: '(\\w{500}){500}'\n  condition: s",
            "6:11 bad regular expression: compiled, it is larger than 10485760 bytes",
        ),
        (
            "bad cidr",
            "detection:\n  s:\n    F|cidr: 10.0.0.0/40\n  condition: s",
            "6:13 `10.0.0.0/40` is no address range (write it like 10.0.0.0/8 or fe80::/10)",
        ),
        (
            "cidr with host bits",
            "detection:\n  s:\n    F|cidr: 10.1.2.3/8\n  condition: s",
            "6:13 `10.1.2.3/8` is no address range (did you mean `10.0.0.0/8`?)",
        ),
        (
            "placeholder",
            "detection:\n  s:\n    F|expand: 'a%admins%'\n  condition: s",
            "6:15 placeholder `%admins%` has no value (write the values in place of the placeholder, and drop `expand`)",
        ),
        (
            "wildcard in base64",
            "detection:\n  s:\n    F|base64: a*\n  condition: s",
            "6:15 a value with wildcards must be without `*` and `?` to be encoded (write `\\*` and `\\?` for the characters themselves)",
        ),
        (
            "nested field",
            "detection:\n  s:\n    F:\n      G: x\n  condition: s",
            "7:7 a value must be a string, a number, a boolean or null (fields of objects are written with dots: `requestParameters.target`)",
        ),
        ("no values", "detection:\n  s:\n    F: []\n  condition: s", "6:5 the list of values of `F` is empty"),
        ("empty selection", "detection:\n  s: {}\n  condition: s", "5:3 selection `s` is empty"),
        ("null selection", "detection:\n  s:\n  condition: s", "5:3 selection `s` is empty"),
        ("empty list selection", "detection:\n  s: []\n  condition: s", "5:3 selection `s` is empty"),
        (
            "list in a selection",
            "detection:\n  s: [[a]]\n  condition: s",
            "5:7 an element of a selection must be a mapping of fields or a keyword",
        ),
        (
            "keyword with exists",
            "detection:\n  s: {'|exists': true}\n  condition: s",
            "5:7 modifier `exists` cannot be used here: keywords have no field",
        ),
        ("no condition", "detection:\n  s: {F: x}", "4:1 `condition` is missing"),
        (
            "misspelt condition",
            "detection:\n  s: {F: x}\n  conditon: s",
            "4:1 `condition` is missing (did you mean `condition` by `conditon`?)",
        ),
        ("no mapping", "detection: x", "4:1 `detection` must be a mapping of selections"),
        (
            "undefined selection",
            "detection:\n  selection: {F: x}\n  condition: selecton",
            "6:14 selection `selecton` is not defined (did you mean `selection`?)",
        ),
        (
            "undefined, later",
            "detection:\n  s: {F: x}\n  condition: s and not  filter",
            "6:25 selection `filter` is not defined",
        ),
        (
            "pattern fits nothing",
            "detection:\n  filter_a: {F: x}\n  condition: 1 of filters_*",
            "6:19 no selection fits `filters_*` (did you mean `filter_a`?)",
        ),
        (
            "pattern without of",
            "detection:\n  s1: {F: x}\n  condition: s*",
            "6:14 condition: a selection expected, found `s*` (write `1 of s*` or `all of s*`)",
        ),
        (
            "number of",
            "detection:\n  s1: {F: x}\n  condition: 2 of s*",
            "6:14 condition: `1`, `any` or `all` expected, found `2`",
        ),
        (
            "operator missing",
            "detection:\n  s: {F: x}\n  condition: s s",
            "6:16 condition: `and` or `or` expected, found `s`",
        ),
        ("operand missing", "detection:\n  s: {F: x}\n  condition: s and", "6:19 condition: a selection expected"),
        (
            "operand missing between",
            "detection:\n  s: {F: x}\n  condition: s and or s",
            "6:20 condition: a selection expected, found `or`",
        ),
        ("bracket not closed", "detection:\n  s: {F: x}\n  condition: (s", "6:16 condition: `)` expected"),
        (
            "bracket not opened",
            "detection:\n  s: {F: x}\n  condition: s)",
            "6:15 condition: no closing bracket expected, found `)`",
        ),
        (
            "aggregation",
            "detection:\n  s: {F: x}\n  condition: s | count() > 5",
            "6:16 aggregations in conditions are not supported (a correlation rule replaces them)",
        ),
        (
            "condition is a mapping",
            "detection:\n  s: {F: x}\n  condition: {a: b}",
            "6:14 `condition` must be an expression over selections",
        ),
    ] {
        let (rules, errors, _) = load_one(&format!("{HEAD}{text}\n"));
        assert_eq!(brief(&errors), [expected], "{name}");
        assert_eq!(rules, 0, "{name}");
    }
}

#[test]
fn documents() {
    let detection = "detection: {s: {F: x}, condition: s}\n";
    let id = "id: 00000000-0000-4000-8000-000000000000\n";
    let source = "logsource: {product: linux}\n";
    for (name, text, expected) in [
        ("no title", format!("{id}{source}{detection}"), "1:1 `title` is missing"),
        ("no id", format!("title: t\n{source}{detection}"), "1:1 `id` is missing"),
        ("no detection", format!("title: t\n{id}{source}"), "1:1 `detection` is missing"),
        ("no log source", format!("title: t\n{id}{detection}"), "1:1 `logsource` is missing"),
        ("empty title", format!("title: ''\n{id}{source}{detection}"), "1:1 `title` must be text"),
        ("bad level", format!("{HEAD}level: hihg\n{detection}"), "4:8 `hihg` is no level (did you mean `high`?)"),
        (
            "bad status",
            format!("{HEAD}status: done\n{detection}"),
            "4:9 `done` is no status (it is one of stable, test, experimental, deprecated, unsupported)",
        ),
        (
            "level is a list",
            format!("{HEAD}level: [high]\n{detection}"),
            "4:8 `` is no level (it is one of informational, low, medium, high, critical)",
        ),
        ("tags are no list", format!("{HEAD}tags: attack.t1000\n{detection}"), "4:1 `tags` must be a list of texts"),
        ("duplicate key", format!("{HEAD}title: u\n{detection}"), "4:1 duplicate key `title`"),
        ("duplicate key in quotes", format!("{HEAD}\"title\": u\n{detection}"), "4:1 duplicate key `title`"),
        (
            "duplicate selection",
            format!("{HEAD}detection:\n  s: {{F: x}}\n  s: {{F: y}}\n  condition: s"),
            "6:3 duplicate key `s`",
        ),
        (
            "misspelt key",
            format!("{HEAD}lvel: high\n{detection}"),
            "4:1 unknown key `lvel` in a rule (did you mean `level`?)",
        ),
        (
            "misspelt log source",
            format!("title: t\n{id}logsource: {{product: linux, catgory: x}}\n{detection}"),
            "3:29 unknown key `catgory` in logsource (did you mean `category`?)",
        ),
        (
            "empty log source",
            format!("title: t\n{id}logsource: {{}}\n{detection}"),
            "3:1 `logsource` must be at least one of product, category and service",
        ),
        ("no mapping", "- a\n- b\n".to_owned(), "1:1 a rule must be a mapping"),
        (
            "correlation",
            format!("title: t\n{id}correlation: {{type: event_count}}\n"),
            "3:1 correlation rules are not supported",
        ),
        (
            "filter",
            format!("title: t\n{source}filter: {{rules: [a], selection: {{F: x}}, condition: selection}}\n"),
            "3:1 filters are not supported",
        ),
        (
            "collection",
            format!("action: global\ntitle: t\n{id}"),
            "1:1 `action` documents (Sigma 1 collections) are not supported",
        ),
        (
            "syntax",
            "title: t\nlogsource: [a\n".to_owned(),
            "2:14 not valid YAML: while parsing a flow sequence, expected ',' or ']'",
        ),
        (
            "field of ours",
            format!(
                "title: t\n{id}logsource: {{product: aws, service: session-manager, category: command}}\ndetection:\n  s:\n    Commandline|contains: x\n  condition: s\n"
            ),
            "6:5 events of this log source have no field `Commandline` (did you mean `CommandLine`?)",
        ),
        (
            "bad response",
            format!("{HEAD}response: kill\n{detection}"),
            "4:11 `kill` is no response (it is one of alert, terminate)",
        ),
        (
            "bad window",
            format!("{HEAD}dedup: {{by: [session], window: 1 hour}}\n{detection}"),
            "4:32 `window` must be a duration such as 90s, 15m, 1h or 7d",
        ),
        (
            "bad scope",
            format!("{HEAD}dedup: {{by: [sesion], window: 1h}}\n{detection}"),
            "4:14 `sesion` is no scope (did you mean `session`?)",
        ),
        (
            "bad dedup key",
            format!("{HEAD}dedup: {{per: session, window: 1h}}\n{detection}"),
            "4:9 unknown key `per` in dedup (the keys are by, window)",
        ),
        (
            "case without match",
            format!("{HEAD}{detection}tests:\n  - command: x\n"),
            "6:5 `match` must be given in each case",
        ),
        (
            "case without input",
            format!("{HEAD}{detection}tests:\n  - match: true\n"),
            "6:5 `tests` must be cases with either command or event",
        ),
        (
            "case with both",
            format!("{HEAD}{detection}tests:\n  - {{match: true, command: x, event: {{a: b}}}}\n"),
            "6:5 `tests` must be cases with either command or event",
        ),
        (
            "case with a bad match",
            format!("{HEAD}{detection}tests:\n  - {{match: yes, command: x}}\n"),
            "6:13 `match` must be true or false",
        ),
        (
            "case with a misspelt key",
            format!("{HEAD}{detection}tests:\n  - {{match: true, comand: x, command: y}}\n"),
            "6:19 unknown key `comand` in a case (did you mean `command`?)",
        ),
    ] {
        let (rules, errors, _) = load_one(&text);
        assert_eq!(brief(&errors), [expected], "{name}");
        assert_eq!(rules, 0, "{name}");
    }
}

#[test]
fn warnings_do_not_refuse() {
    for (name, text, expected) in [
        (
            "misspelt note",
            "reference: [x]\ndetection:\n  s: {F: x}\n  condition: s",
            "4:1 unknown key `reference` in a rule (did you mean `references`?)",
        ),
        (
            "unused selection",
            "detection:\n  s: {F: x}\n  t: {F: y}\n  condition: s",
            "6:3 selection `t` is not used by the condition (name it in the condition, or delete it)",
        ),
        ("all of one", "detection:\n  s:\n    F|all: x\n  condition: s", "6:5 `all` has no effect on a single value"),
        (
            "timeframe",
            "detection:\n  s: {F: x}\n  timeframe: 5m\n  condition: s",
            "6:3 `timeframe` has no meaning without a correlation",
        ),
        (
            "keywords with all",
            "detection:\n  s: {'|all': [a, b]}\n  condition: s",
            "5:7 keywords with modifiers are compared with whole values (write `|contains|all` if they may stand anywhere in a value)",
        ),
    ] {
        let (rules, errors, warnings) = load_one(&format!("{HEAD}{text}\n"));
        assert_eq!(brief(&errors), [] as [&str; 0], "{name}");
        assert_eq!(brief(&warnings), [expected], "{name}");
        assert_eq!(rules, 1, "{name}");
    }
    let (rules, errors, warnings) = load_one("# nothing\n");
    assert_eq!((rules, errors.len(), brief(&warnings)), (0, 0, vec!["1:1 the file holds no rule".to_owned()]));
}

/// A custom key is no error, nor is one of SigmaHQ's.
#[test]
fn keys_of_ones_own() {
    let text = format!(
        "{HEAD}simulation: []\ncustom: [b]\nx-team: blue\nseverity_score: 7\ndetection: {{s: {{F: x}}, condition: s}}\n"
    );
    let (rules, errors, warnings) = load_one(&text);
    assert_eq!((rules, errors, warnings), (1, vec![], vec![]));
}

/// How the file is written does not matter.
#[test]
fn forms_of_yaml() {
    let plain = format!("{HEAD}detection:\n  s:\n    F:\n      - x\n      - 'y'\n  condition: s\n");
    for (name, text) in [
        ("carriage returns", plain.replace('\n', "\r\n")),
        ("byte order mark", format!("\u{feff}{plain}")),
        ("document marks", format!("---\n{plain}...\n")),
        ("comments", format!("# a\n\n{plain}\n# b\n")),
        ("anchors", format!("{HEAD}detection:\n  t: &t {{F: x}}\n  s: *t\n  condition: s or t\n")),
        (
            "block text",
            format!(
                "{HEAD}description: |\n  a: b\n  - c\ndetection:\n  s:\n    F|contains: >-\n      x\n      y\n  condition: |\n    s\n"
            ),
        ),
        (
            "double quotes",
            format!("{HEAD}detection: {{\"s\": {{\"F|contains\": \"\\\\x\\u0041\"}}, \"condition\": \"s\"}}\n"),
        ),
    ] {
        let (rules, errors, warnings) = load_one(&text);
        assert_eq!((rules, brief(&errors), warnings.len()), (1, vec![], 0), "{name}");
    }
}

#[test]
fn every_error_of_every_file() {
    let good = |n: u32| {
        format!(
            "title: t\nid: {n:08}-0000-4000-8000-000000000000\nlogsource: {{product: linux}}\ndetection: {{s: {{F: x}}, condition: s}}\n"
        )
    };
    let two_errors = "title: t\nid: 00000009-0000-4000-8000-000000000000\nlevel: top\nlogsource: {product: linux}\ndetection:\n  s:\n    F|foo: x\n  condition: s and u\n";
    let loaded = RuleSet::load([
        ("a.yml", good(1)),
        ("b.yml", two_errors.to_owned()),
        ("c.yml", format!("{}---\n{two_errors}---\n{}---\ntitle: [\n", good(2), good(3))),
        ("d.yml", good(1)),
        ("e.yml", good(4)),
    ]);
    let places: Vec<String> = loaded.errors.iter().map(|e| format!("{}:{}:{}", e.path, e.line, e.column)).collect();
    assert_eq!(
        places,
        ["b.yml:3:8", "b.yml:7:7", "b.yml:8:20", "c.yml:8:8", "c.yml:12:7", "c.yml:13:20", "c.yml:20:9", "d.yml:1:1"]
    );
    assert_eq!(
        loaded.errors.last().unwrap().problem.to_string(),
        "rule id 00000001-0000-4000-8000-000000000000 is already used by a.yml:1"
    );
    let ids: Vec<&str> = loaded.set.rules().iter().map(|rule| &rule.id[..8]).collect();
    assert_eq!(ids, ["00000001", "00000002", "00000003", "00000004"]);
}

#[test]
fn shows_the_line() {
    let (_, errors, _) = load_one(&format!("{HEAD}detection:\n\ts: x\n"));
    assert_eq!(errors.len(), 1, "{errors:?}");
    let (_, errors, _) = load_one(&format!("{HEAD}detection:\n  s:\n    CommandLine|contain: ssh\n  condition: s\n"));
    assert_eq!(
        errors[0].render(),
        "error: unknown modifier `contain`\n  --> r.yml:6:17\n   |\n6  |     CommandLine|contain: ssh\n   |                 ^^^^^^^\n   = did you mean `contains`?\n"
    );
    assert_eq!(errors[0].to_string(), "r.yml:6:17: error: unknown modifier `contain` (did you mean `contains`?)");
    let long = format!("{HEAD}detection: {{s: {{F: {}, 'G|foo': x}}, condition: s}}\n", "y".repeat(5_000));
    let (_, errors, _) = load_one(&long);
    let shown = errors[0].render();
    assert!(shown.len() < 600, "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[4].find("^^^").unwrap();
    assert_eq!(&lines[3][caret..caret + 3], "foo", "{shown}");
}

#[test]
fn hostile_files_are_refused() {
    let deep = "- ".repeat(5_000) + "a";
    let mut bomb = vec!["a: &a [x,x,x,x,x,x,x,x,x]".to_owned()];
    for (old, new) in ('a'..='i').zip('b'..) {
        bomb.push(format!("{new}: &{new} [{}]", vec![format!("*{old}"); 9].join(",")));
    }
    let bomb = bomb.join("\n");
    let brackets = format!("{HEAD}detection: {{s: {{F: x}}, condition: {}s{}}}", "(".repeat(5_000), ")".repeat(5_000));
    let nots = format!("{HEAD}detection: {{s: {{F: x}}, condition: {}s}}", "not ".repeat(5_000));
    for (name, text) in
        [("depth", deep), ("aliases", bomb), ("brackets", brackets), ("nots", nots), ("length", "#".repeat(5 << 20))]
    {
        let (rules, errors, _) = load_one(&text);
        assert_eq!((rules, errors.len()), (0, 1), "{name}");
    }
}

#[test]
fn keys_of_our_own() {
    let text = "\
title: ' SSH key read '
id: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c11
status: test
level: high
description: |
    Reads a key.
tags: [attack.t1552.004]
owner: blue
runbook: https://example.com/ssh
response: terminate
dedup: {by: [principal, target], window: 15m}
logsource: {product: linux, category: process_creation}
detection:
    key: {CommandLine|contains: /.ssh/id_, Count: 010}
    condition: key
tests:
    - name: key
      match: true
      event: {CommandLine: cat /root/.ssh/id_rsa, Count: '010'}
    - match: false
      event: {CommandLine: cat /root/.ssh/id_rsa, Count: 10}
    - match: true
      command: cat ~/.ssh/id_rsa
";
    let set = RuleSet::load([("ssh.yml", text)]).set;
    let rule = &set.rules()[0];
    assert_eq!((rule.title.as_str(), rule.level, rule.response), ("SSH key read", Level::High, Response::Terminate));
    assert_eq!(rule.description.as_deref(), Some("Reads a key."));
    let dedup = rule.dedup.as_ref().unwrap();
    assert_eq!((dedup.by.as_slice(), dedup.window), ([Scope::Principal, Scope::Target].as_slice(), 900));
    assert_eq!((rule.owner.as_deref(), rule.runbook.as_deref()), (Some("blue"), Some("https://example.com/ssh")));
    assert_eq!(rule.logsource.to_string(), "product=linux category=process_creation");
    assert_eq!(rule.hash.len(), 64);
    let results: Vec<bool> =
        rule.cases.iter().map(|case| set.run_case(rule, case, |_, line| line.starts_with("cat"))).collect();
    assert_eq!(results, [true, true, true]);
    assert_eq!((rule.cases[1].line, rule.cases[1].column), (20, 7));
    assert_eq!(rule.cases[0].name.as_deref(), Some("key"));
}

#[test]
fn version_is_of_the_rules_not_of_their_order() {
    let rule = |n: u32| {
        (
            format!("{n}.yml"),
            format!(
                "title: t\nid: {n:08}-0000-4000-8000-000000000000\nlogsource: {{product: linux}}\ndetection: {{s: {{F: x}}, condition: s}}\n"
            ),
        )
    };
    let version = |files: Vec<(String, String)>| RuleSet::load(files).set.version().to_owned();
    let together = ("x.yml".to_owned(), format!("{}---\n{}", rule(1).1, rule(2).1));
    assert_eq!(version(vec![rule(1), rule(2)]), version(vec![rule(2), rule(1)]));
    assert_ne!(version(vec![rule(1), rule(2)]), version(vec![rule(1), rule(3)]));
    assert_eq!(RuleSet::load([together]).set.rules().len(), 2);
    assert_eq!(version(vec![]).len(), 64);
}
