//! What Sigma's words mean: modifiers, wildcards, values, conditions, fields, log sources.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "tables of a test")]

use serde_json::{Value, json};
use warden_rules::{Event, Logsource, RuleSet};

/// A rule with this detection.
fn rule(detection: &str) -> String {
    let detection = detection.replace('\n', "\n  ");
    format!(
        "title: t\nid: 00000000-0000-4000-8000-000000000000\nlevel: low\nlogsource: {{product: linux}}\ndetection:\n  {detection}\n"
    )
}

fn load(detection: &str) -> RuleSet {
    let loaded = RuleSet::load([("rule.yml", rule(detection))]);
    let errors: Vec<String> = loaded.errors.iter().map(warden_rules::RuleError::render).collect();
    assert!(errors.is_empty(), "{detection}\n{}", errors.join("\n"));
    loaded.set
}

/// Whether the detection matches, found by the prefilter and by trying, which must agree.
fn matches(detection: &str, event: &Value) -> bool {
    let set = load(detection);
    let event = Event::from_json(event);
    let found = !set.match_ids(None, &event).is_empty();
    assert_eq!(found, set.rule_matches(&set.rules()[0], &event), "prefilter: {detection}");
    assert_eq!(found, !set.matches(None, &event).is_empty());
    found
}

/// Rows of a name, an item (`field|modifiers: values` in YAML), the value of field `F`, and whether it matches.
fn items(rows: &[(&str, &str, Value, bool)]) {
    for (name, item, value, expected) in rows {
        let detection = format!("s:\n  {item}\ncondition: s");
        let event = json!({"F": value, "Other": "abc", "Prefix": "ab"});
        assert_eq!(matches(&detection, &event), *expected, "{name}: {item} on {value}");
    }
}

#[test]
fn plain_values() {
    items(&[
        ("equal", "F: abc", json!("abc"), true),
        ("not a part", "F: abc", json!("xabc"), false),
        ("without regard to case", "F: aBc", json!("AbC"), true),
        ("list is or", "F: [x, abc]", json!("abc"), true),
        ("list, none", "F: [x, y]", json!("abc"), false),
        ("empty string", "F: ''", json!(""), true),
        ("empty string is not absent", "F: ''", json!(null), false),
        ("number equals its text", "F: 42", json!("42"), true),
        ("text equals the number", "F: '42'", json!(42), true),
        ("leading zero stays", "F: 010", json!("010"), true),
        ("leading zero is no octal", "F: 010", json!(8), false),
        ("leading zero is not dropped", "F: 010", json!(10), false),
        ("trailing zero stays", "F: 1.10", json!("1.10"), true),
        ("negative", "F: -1", json!(-1), true),
        ("boolean", "F: true", json!(true), true),
        ("boolean as text", "F: 'true'", json!(true), true),
        ("no is text", "F: no", json!("No"), true),
        ("quoted null is text", "F: 'null'", json!("null"), true),
        ("quoted null is not null", "F: 'null'", json!(null), false),
        ("null", "F: null", json!(null), true),
        ("empty value is null", "F:", json!(null), true),
        ("tilde is null", "F: ~", json!(null), true),
        ("null in a list", "F: [abc, null]", json!(null), true),
        ("null, but text", "F: null", json!(""), false),
        ("null matches an empty list", "F: null", json!([]), true),
        ("any element of an array", "F: b", json!(["a", "b"]), true),
        ("object by its text", "F|contains: '\"k\":1'", json!({"k": 1}), true),
    ]);
    assert!(matches("s:\n  Absent: null\ncondition: s", &json!({"F": 1})), "null matches absent");
}

#[test]
fn wildcards_and_escapes() {
    items(&[
        ("many", "F: 'a*c'", json!("abbbc"), true),
        ("many, none", "F: 'a*c'", json!("ac"), true),
        ("many over lines", "F: 'a*c'", json!("a\nc"), true),
        ("one", "F: 'a?c'", json!("abc"), true),
        ("one, not none", "F: 'a?c'", json!("ac"), false),
        ("one is a character, not a byte", "F: 'a?c'", json!("aéc"), true),
        ("one is folded too", "F: 'a?c'", json!("a\u{212a}c"), true),
        ("anything", "F: '*'", json!(""), true),
        ("anything but null", "F: '*'", json!(null), false),
        ("two pieces in order", "F: '*ab*cd*'", json!("xabxcdx"), true),
        ("two pieces out of order", "F: '*ab*cd*'", json!("xcdxabx"), false),
        ("pieces do not overlap", "F: 'aba*aba'", json!("ababa"), false),
        ("last piece at the end", "F: 'a*b?'", json!("axbxbc"), true),
        ("last piece not at the end", "F: 'a*b?'", json!("axbcd"), false),
        ("leading one", "F|contains: '?ssh'", json!("ssh"), false),
        ("leading one, found later", "F|contains: '?ssh'", json!("sshxssh"), true),
        ("only ones", "F: '???'", json!("abc"), true),
        ("only ones, too short", "F: '???'", json!("ab"), false),
        ("escaped star", r"F: 'a\*c'", json!("a*c"), true),
        ("escaped star is no wildcard", r"F: 'a\*c'", json!("abc"), false),
        ("escaped question mark", r"F: 'a\?c'", json!("a?c"), true),
        ("escaped question mark is no wildcard", r"F: 'a\?c'", json!("abc"), false),
        ("one backslash is itself", r"F: 'a\c'", json!(r"a\c"), true),
        ("two backslashes are one", r"F: 'a\\c'", json!(r"a\c"), true),
        ("four backslashes are two", r"F: 'a\\\\c'", json!(r"a\\c"), true),
        ("two backslashes and a wildcard", r"F: 'a\\*'", json!(r"a\bc"), true),
        ("backslash and a literal star", r"F: 'a\\\*'", json!(r"a\*"), true),
        ("backslash and a literal star, other", r"F: 'a\\\*'", json!(r"a\b"), false),
        ("backslash at the end", r"F: 'a\'", json!(r"a\"), true),
        ("backslash at the end is no escape", r"F|contains: 'a\'", json!(r"xa\y"), true),
    ]);
}

#[test]
fn places() {
    items(&[
        ("contains", "F|contains: b", json!("abc"), true),
        ("contains, not", "F|contains: x", json!("abc"), false),
        ("contains with a wildcard", "F|contains: 'a*c'", json!("xabcx"), true),
        ("startswith", "F|startswith: ab", json!("ABC"), true),
        ("startswith, not", "F|startswith: bc", json!("abc"), false),
        ("startswith with a wildcard", "F|startswith: 'a?c'", json!("abcd"), true),
        ("endswith", "F|endswith: bc", json!("abc"), true),
        ("endswith, not", "F|endswith: ab", json!("abc"), false),
        ("endswith a file name", "F|endswith: '/cat'", json!("/usr/bin/CAT"), true),
        ("endswith a file name, other", "F|endswith: '/cat'", json!("/usr/bin/netcat"), false),
        ("endswith a windows name", r"F|endswith: '\cmd.exe'", json!(r"C:\Windows\CMD.exe"), true),
        ("endswith a path of two", r"F|endswith: '\a\b'", json!(r"c:\a\b"), true),
        ("endswith a trailing separator", "F|endswith: '/'", json!("a/b/"), true),
        ("all", "F|contains|all: [a, c]", json!("abc"), true),
        ("all, one is missing", "F|contains|all: [a, x]", json!("abc"), false),
        ("all over several values", "F|contains|all: [a, b]", json!(["a", "b"]), true),
        ("empty contains", "F|contains: ''", json!("abc"), true),
    ]);
}

#[test]
fn case() {
    items(&[
        ("cased", "F|cased: aBc", json!("aBc"), true),
        ("cased, other case", "F|cased: aBc", json!("abc"), false),
        ("cased contains", "F|contains|cased: B", json!("aBc"), true),
        ("cased contains, other case", "F|contains|cased: B", json!("abc"), false),
        ("kelvin sign", "F|contains: kill", json!("p\u{212a}ill"), true),
        ("long s", "F: sudo", json!("\u{17f}udo"), true),
        ("long s in the rule", "F: '\u{17f}udo'", json!("SUDO"), true),
        ("final sigma", "F: 'ΣΣ'", json!("σς"), true),
        ("umlaut", "F: 'grün'", json!("GRÜN"), true),
        ("cased sees the kelvin sign", "F|cased: k", json!("\u{212a}"), false),
        ("dotless i is another letter", "F: i", json!("ı"), false),
        ("file name", "F|endswith: '/kill'", json!("/bin/\u{212a}ILL"), true),
        ("regex with i", "F|re|i: '^sudo$'", json!("\u{17f}UDO"), true),
    ]);
}

#[test]
fn regular_expressions() {
    items(&[
        ("found anywhere", r"F|re: 'b\d'", json!("ab1c"), true),
        ("case-sensitive", "F|re: B", json!("abc"), false),
        ("i", "F|re|i: B", json!("abc"), true),
        ("long name of i", "F|re|ignorecase: B", json!("abc"), true),
        ("without m", "F|re: '^b'", json!("a\nb"), false),
        ("m", "F|re|m: '^b'", json!("a\nb"), true),
        ("without s", "F|re: a.b", json!("a\nb"), false),
        ("s", "F|re|s: a.b", json!("a\nb"), true),
        ("all", "F|re|all: ['a', 'c']", json!("abc"), true),
        ("startswith", "F|re|startswith: 'a|b'", json!("xb"), false),
        ("endswith", "F|re|endswith: 'a|b'", json!("xb"), true),
        ("backslashes are the regex's", r"F|re: 'a\\\\b'", json!(r"a\\b"), true),
        ("class of cases", "F|re: '[Ii][Ee][Xx]'", json!("iEx"), true),
        ("number", r"F|re: '^4\d$'", json!(42), true),
    ]);
}

#[test]
fn encodings() {
    let wide = "a\0b\0";
    items(&[
        ("base64", "F|base64: foobar", json!("Zm9vYmFy"), true),
        ("base64, other", "F|base64: foobar", json!("Zm9vYmF"), false),
        ("base64 inside", "F|base64|contains: foobar", json!("x Zm9vYmFy"), true),
        ("offset 0", "F|base64offset|contains: foobar", json!("Zm9vYmFy"), true),
        ("offset 1", "F|base64offset|contains: foobar", json!("eGZvb2Jhcnk="), true),
        ("offset 2", "F|base64offset|contains: foobar", json!("eHhmb29iYXJ5"), true),
        ("offset, other text", "F|base64offset|contains: foobar", json!("Zm9vYmF6"), false),
        ("offset, short text", "F|base64offset|contains: ab", json!("eGFieA=="), true),
        ("offset all", "F|base64offset|contains|all: [foo, bar]", json!("Zm9vYmFy"), true),
        ("wide", "F|wide|contains: ab", json!(format!("x{wide}")), true),
        ("wide in base64", "F|wide|base64offset|contains: ab", json!("eABhAGIA"), true),
        ("utf16le in base64", "F|utf16le|base64: ab", json!("YQBiAA=="), true),
        ("utf16be in base64", "F|utf16be|base64: ab", json!("AGEAYg=="), true),
        ("utf16 in base64", "F|utf16|base64: ab", json!("//5hAGIA"), true),
        ("escapes are undone first", r"F|base64: 'a\*'", json!("YSo="), true),
    ]);
}

#[test]
fn windash() {
    items(&[
        ("dash", "F|windash|contains: ' -enc '", json!("p -enc x"), true),
        ("slash", "F|windash|contains: ' -enc '", json!("p /ENC x"), true),
        ("en dash", "F|windash|contains: ' -enc '", json!("p \u{2013}enc x"), true),
        ("em dash", "F|contains|windash: ' -enc '", json!("p \u{2014}enc x"), true),
        ("horizontal bar", "F|contains|windash: ' /enc '", json!("p \u{2015}enc x"), true),
        ("two at once", "F|contains|windash: '-a /b'", json!("/a -b"), true),
        ("inside a word it stays", "F|contains|windash: 'a-b'", json!("a/b"), false),
        ("without it", "F|contains: ' -enc '", json!("p /enc x"), false),
        ("at the end", "F|endswith|windash: '-u'", json!("x /u"), true),
        ("whole", "F|windash: '-u'", json!("/u"), true),
        ("all", "F|contains|windash|all: ['-a', '-b']", json!("/b -a"), true),
    ]);
}

#[test]
fn addresses_numbers_and_dates() {
    items(&[
        ("cidr", "F|cidr: 10.0.0.0/8", json!("10.1.2.3"), true),
        ("cidr, outside", "F|cidr: 10.0.0.0/8", json!("11.1.2.3"), false),
        ("cidr list", "F|cidr: [10.0.0.0/8, 'fe80::/10']", json!("fe80::1"), true),
        ("cidr, no address", "F|cidr: 10.0.0.0/8", json!("console.amazonaws.com"), false),
        ("lt", "F|lt: 5", json!(4), true),
        ("lt, equal", "F|lt: 5", json!(5), false),
        ("lte, equal", "F|lte: 5", json!("5"), true),
        ("gt", "F|gt: 5", json!(5.5), true),
        ("gte", "F|gte: 5", json!(4), false),
        ("gt is by number", "F|gt: 9", json!("10"), true),
        ("gt of text", "F|gt: 5", json!("abc"), false),
        ("hour", "F|hour: 3", json!("2026-11-24T03:59:10Z"), true),
        ("hour compared", "F|hour|gte: 22", json!("2026-11-24T23:00:00.123Z"), true),
        ("minute", "F|minute: 59", json!("2026-11-24 03:59:10"), true),
        ("day", "F|day: 24", json!("2026-11-24"), true),
        ("week", "F|week: 48", json!("2026-11-24T03:59:10+02:00"), true),
        ("month", "F|month: [1, 11]", json!("2026-11-24T03:59:10Z"), true),
        ("year", "F|year|lt: 2026", json!("2026-11-24T03:59:10Z"), false),
        ("no date", "F|year: 2026", json!("2026"), false),
    ]);
}

#[test]
fn fields_and_negation() {
    items(&[
        ("exists", "F|exists: true", json!("x"), true),
        ("exists, empty", "F|exists: true", json!(""), true),
        ("exists, null", "F|exists: true", json!(null), true),
        ("exists not", "Absent|exists: true", json!("x"), false),
        ("must not exist", "Absent|exists: false", json!("x"), true),
        ("must not exist, but does", "F|exists: false", json!("x"), false),
        ("fieldref", "F|fieldref: Other", json!("ABC"), true),
        ("fieldref, other", "F|fieldref: Other", json!("abcd"), false),
        ("fieldref, absent", "F|fieldref: Absent", json!("abc"), false),
        ("fieldref startswith", "F|fieldref|startswith: Prefix", json!("abcd"), true),
        ("fieldref endswith", "F|fieldref|endswith: Prefix", json!("xab"), true),
        ("fieldref contains", "F|fieldref|contains: Prefix", json!("xabx"), true),
        ("startswith fieldref", "F|startswith|fieldref: Prefix", json!("xab"), false),
        ("fieldref cased", "F|fieldref|cased: Other", json!("ABC"), false),
        ("fieldref neq", "F|fieldref|neq: Other", json!("abcd"), true),
        ("neq", "F|neq: abc", json!("abcd"), true),
        ("neq, equal", "F|neq: abc", json!("ABC"), false),
        ("neq of a list: none of them", "F|neq: [a, abc]", json!("abc"), false),
        ("neq, number", "F|neq: 5", json!(6), true),
        ("neq, absent", "Absent|neq: abc", json!("x"), true),
        ("contains neq", "F|contains|neq: b", json!("abc"), false),
        ("two items are and", "{F: abc, Other: x}", json!("abc"), false),
        ("field names are exact", "f: abc", json!("abc"), false),
    ]);
}

#[test]
fn keywords() {
    let event = json!({"message": "Failed password for ROOT", "n": 4625, "deep": {"er": ["one two"]}});
    for (name, selection, expected) in [
        ("anywhere in a value", "s: [nothing, password]", true),
        ("without regard to case", "s: [root]", true),
        ("a number", "s: [4625]", true),
        ("nested", "s: ['one two']", true),
        ("not in names of fields", "s: [message]", false),
        ("not in names of nested fields", "s: [er]", false),
        ("wildcards", "s: ['failed*root']", true),
        ("none", "s: [nothing]", false),
        ("a single text", "s: password", true),
        ("modified: whole values", "s: {'|all': [password, root]}", false),
        ("modified: whole values, all there", "s: {'|all': ['one two', '4625']}", true),
        ("modified: contains", "s: {'|contains|all': [password, root]}", true),
        ("modified: contains, one missing", "s: {'|contains|all': [password, toor]}", false),
        ("regular expression", "s: {'|re': 'for R.+T$'}", true),
        ("mixed with mappings", "s: [nothing, {n: 4625}]", true),
    ] {
        assert_eq!(matches(&format!("{selection}\ncondition: s"), &event), expected, "{name}");
    }
}

#[test]
fn selections_and_conditions() {
    let event = json!({"A": "1", "B": "2"});
    let selections = "t1: {A: 1}\nt2: {B: 2}\nf1: {A: x}\nf2: {B: x}\n_t: {A: 1}\n_f: {A: x}\n";
    for (name, condition, expected) in [
        ("selection", "t1", true),
        ("selection, not", "f1", false),
        ("and", "t1 and t2", true),
        ("and, not", "t1 and f1", false),
        ("or", "f1 or t1", true),
        ("not", "not f1", true),
        ("not not", "not not t1", true),
        ("not binds tighter than and", "not f1 and t1", true),
        ("and binds tighter than or", "t1 or t2 and f1", true),
        ("brackets", "(t1 or t2) and f1", false),
        ("nested brackets", "((t1) and (not (f1 or f2)))", true),
        ("brackets without blanks", "(t1)and(t2)", true),
        ("upper case", "t1 AND NOT f1 OR f2", true),
        ("1 of a pattern", "1 of t*", true),
        ("1 of a pattern, none", "1 of f*", false),
        ("any of", "any of t*", true),
        ("all of a pattern", "all of t*", true),
        ("all of a pattern in the middle", "all of *1", false),
        ("1 of them", "1 of them", true),
        ("all of them", "all of them", false),
        ("not 1 of", "t1 and not 1 of f*", true),
        ("not all of", "not all of f*", true),
        ("of without a wildcard", "1 of t1", true),
        ("underscore hides from patterns", "1 of *f", false),
        ("underscore named by the pattern", "all of _*", false),
        ("upper case of", "ALL OF t* and 1 OF THEM", true),
    ] {
        let unused = if condition.contains("*f") { "xf: {A: x}\n" } else { "" };
        let detection = format!("{selections}{unused}condition: {condition}");
        assert_eq!(matches(&detection, &event), expected, "{name}: {condition}");
    }
    let list = format!("{selections}condition: [f1, t1]");
    assert!(matches(&list, &event), "a list of conditions is or");
    let lines = format!("{selections}condition: >\n  t1\n  and t2");
    assert!(matches(&lines, &event), "over several lines");
    assert!(matches("s: [{A: x}, {A: 1, B: 2}]\ncondition: s", &event), "a list of mappings is or");
}

#[test]
fn nested_and_dotted_fields() {
    let nested =
        json!({"requestParameters": {"target": "i-1", "tags": [{"key": "a"}, {"key": "b"}]}, "x": [[{"y": 7}]]});
    let flat = json!({"requestParameters.target": "i-1", "requestParameters": {"tags.key": ["a", "b"]}, "x.y": 7});
    for event in [&nested, &flat] {
        for (name, item, expected) in [
            ("member", "requestParameters.target: i-1", true),
            ("through an array", "requestParameters.tags.key: b", true),
            ("all through an array", "requestParameters.tags.key|contains|all: [a, b]", true),
            ("through arrays of arrays", "x.y: 7", true),
            ("absent member", "requestParameters.reason: null", true),
            ("object exists", "requestParameters|exists: true", true),
        ] {
            assert_eq!(matches(&format!("s:\n  {item}\ncondition: s"), event), expected, "{name} of {event}");
        }
    }
}

#[test]
fn log_sources() {
    let text = |n: u32, logsource: &str| {
        format!(
            "title: t\nid: {n:08}-0000-4000-8000-000000000000\nlevel: low\nlogsource: {logsource}\ndetection: {{s: {{A: 1}}, condition: s}}\n"
        )
    };
    let set = RuleSet::load([
        ("1", text(1, "{product: linux}")),
        ("2", text(2, "{product: linux, category: process_creation}")),
        ("3", text(3, "{product: aws, service: cloudtrail}")),
        ("4", text(4, "{category: Process_Creation, definition: needs auditd}")),
    ])
    .set;
    let record = json!({"A": 1});
    let event = Event::from_json(&record);
    for (name, logsource, expected) in [
        ("no log source: every rule", None, vec![1, 2, 3, 4]),
        ("product", Some(("linux", "", "")), vec![1]),
        ("category", Some(("linux", "process_creation", "")), vec![1, 2, 4]),
        ("case", Some(("LINUX", "PROCESS_creation", "auditd")), vec![1, 2, 4]),
        ("service", Some(("aws", "", "cloudtrail")), vec![3]),
        ("empty log source", Some(("", "", "")), vec![]),
    ] {
        let logsource = logsource.map(|(product, category, service)| Logsource::new(product, category, service));
        let ids: Vec<u32> =
            set.match_ids(logsource.as_ref(), &event).iter().map(|id| id[..8].parse().unwrap()).collect();
        assert_eq!(ids, expected, "{name}");
    }
}

#[test]
fn says_what_matched() {
    let detection = "img:\n  Image|endswith: '/cat'\nkey:\n  CommandLine|contains|all: ['.ssh', id_]\nhost:\n  Host|re: 'db\\d+'\nother: {Image: x}\ncondition: img and (other or key) and host and not other";
    let set = load(detection);
    let mut event = Event::new();
    event.push("Image", "/usr/bin/cat");
    event.push("CommandLine", "cat x");
    event.push("CommandLine", "\u{212a}cat ~/.SSH/id_rsa");
    event.push("Host", "prod-db12.example");
    let matches = set.matches(None, &event);
    let found: Vec<(&str, &str, Option<(usize, usize)>)> =
        matches[0].matched.iter().map(|entry| (entry.field.as_str(), entry.value.as_str(), entry.span)).collect();
    assert_eq!(
        found,
        [
            ("Image", "/usr/bin/cat", Some((8, 12))),
            ("CommandLine", "\u{212a}cat ~/.SSH/id_rsa", Some((9, 13))),
            ("CommandLine", "\u{212a}cat ~/.SSH/id_rsa", Some((14, 17))),
            ("Host", "prod-db12.example", Some((5, 9))),
        ]
    );
}
