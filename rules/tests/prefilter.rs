//! The prefilter never hides a rule: what it finds is what trying every rule finds.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write;
use std::ops::Range;

use proptest::prelude::*;
use warden_rules::{Event, RuleSet};

/// Texts over few characters, so that they often hold one another; with signs that fold, separate, escape.
fn text(parts: Range<usize>) -> impl Strategy<Value = String> {
    let signs = vec!["a", "B", "k", "\u{212a}", "s", "\u{17f}", "/", "\\", "-", "ß", "ẞ"];
    proptest::collection::vec(prop::sample::select(signs), parts).prop_map(|parts| parts.concat())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![6 => text(1..3), 1 => (text(1..3), text(1..3)).prop_map(|(a, b)| format!("{a}*{b}")), 1 => text(1..3).prop_map(|a| format!("{a}?"))]
}

/// One `field|modifiers: values` as a line of YAML.
fn item() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec!["F", "G", "H"]);
    let modifiers = prop::sample::select(vec![
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|contains|all",
        "|cased",
        "|contains|cased",
        "|contains|windash",
        "|neq",
        "|base64offset|contains",
        "|fieldref",
    ]);
    let plain =
        (field.clone(), modifiers, proptest::collection::vec(value(), 1..3)).prop_map(|(field, modifiers, values)| {
            let values = if modifiers.contains("base64") || modifiers.contains("fieldref") {
                vec!["G".to_owned()]
            } else {
                values
            };
            format!("'{field}{modifiers}': {}", serde_json::to_string(&values).unwrap())
        });
    let regexes =
        vec!["k+s", "(?i)ab|k.", "^/?a", "[aA]b", "(a|b)s", "(?:k|s){2}", "\\\\.", "a?b?", "B", "Bk+", "\\bs"];
    let regex = (field.clone(), prop::sample::select(vec!["|re", "|re|i"]), prop::sample::select(regexes))
        .prop_map(|(field, modifiers, pattern)| format!("'{field}{modifiers}': '{pattern}'"));
    let other = (field, prop::sample::select(vec![": null", "|exists: true", "|exists: false", "|gt: 3", ": '*'"]))
        .prop_map(|(field, rest)| format!("{field}{rest}"));
    prop_oneof![6 => plain, 2 => regex, 1 => other]
}

fn selection() -> impl Strategy<Value = String> {
    prop_oneof![
        item().prop_map(|a| format!("{{{a}}}")),
        (item(), item()).prop_map(|(a, b)| format!("[{{{a}}}, {{{b}}}]")),
        proptest::collection::vec(text(1..3), 1..3).prop_map(|words| serde_json::to_string(&words).unwrap()),
    ]
}

fn rules() -> impl Strategy<Value = Vec<(String, String)>> {
    let conditions = vec![
        "x",
        "x and y",
        "x or y",
        "not x",
        "x and not y",
        "1 of them",
        "all of them",
        "x or not y",
        "not (x and y)",
        "z and (x or y)",
    ];
    let rule = (selection(), selection(), selection(), prop::sample::select(conditions));
    proptest::collection::vec(rule, 1..12).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(n, (x, y, z, condition))| {
                let mut text =
                    format!("title: t\nid: {n:08}-0000-4000-8000-000000000000\nlogsource: {{product: p{}}}\n", n % 2);
                write!(text, "detection:\n  x: {x}\n  y: {y}\n  z: {z}\n  condition: {condition}\n").unwrap();
                (format!("{n}.yml"), text)
            })
            .collect()
    })
}

fn events() -> impl Strategy<Value = Vec<Vec<(String, String)>>> {
    let field = prop::sample::select(vec!["F", "G", "H", "I"]).prop_map(str::to_owned);
    let value = prop_oneof![8 => text(1..9), 1 => Just("5".to_owned()), 1 => Just("xRw==".to_owned())];
    proptest::collection::vec(proptest::collection::vec((field, value), 0..5), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_trying_every_rule_finds(files in rules(), events in events()) {
        let loaded = RuleSet::load(files.iter().map(|(path, text)| (path, text)));
        let errors: Vec<String> = loaded.errors.iter().map(warden_rules::RuleError::render).collect();
        prop_assert!(errors.is_empty(), "{}", errors.join("\n"));
        for pairs in &events {
            let mut event = Event::new();
            for (field, value) in pairs {
                event.push(field.as_str(), value.as_str());
            }
            let tried: Vec<&str> = loaded.set.rules().iter().filter(|rule| loaded.set.rule_matches(rule, &event)).map(|rule| rule.id.as_str()).collect();
            prop_assert_eq!(loaded.set.match_ids(None, &event), tried);
            for found in loaded.set.matches(None, &event) {
                for entry in found.matched {
                    // A span is a range of the value, at character boundaries.
                    prop_assert!(entry.span.is_none_or(|(start, end)| entry.value.get(start..end).is_some()));
                }
            }
        }
    }

    /// Loading ends with rules or errors for any text.
    #[test]
    fn any_text_loads_or_says_why(text in "[ -~\n\t]{0,200}") {
        let loaded = RuleSet::load([("x", &text)]);
        prop_assert!(loaded.set.rules().len() + loaded.errors.len() + loaded.warnings.len() > 0);
        for error in loaded.errors {
            prop_assert!(!error.render().is_empty());
        }
    }

    /// So does any text in the place of a condition or of a pattern.
    #[test]
    fn any_condition_or_pattern_loads_or_says_why(condition in "[st1 ofalnd()|*]{1,40}", regex in "\\PC{0,30}") {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let text = format!(
            "title: t\nid: a\nlogsource: {{product: p}}\ndetection: {{s: {{F|re: {}}}, t1: {{F: {}}}, condition: {}}}",
            quoted(&regex), quoted(&regex), quoted(&condition),
        );
        let loaded = RuleSet::load([("x", &text)]);
        prop_assert!(loaded.set.rules().len() + loaded.errors.len() > 0);
    }
}
