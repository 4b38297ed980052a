//! MITRE ATT&CK tags of rules, as the Sigma tags appendix writes them: `attack.t1548.003`, `attack.privilege-escalation`.

/// The fourteen tactics of ATT&CK Enterprise.
const TACTICS: [(&str, &str, &str); 14] = [
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource-development", "TA0042", "Resource Development"),
    ("initial-access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege-escalation", "TA0004", "Privilege Escalation"),
    ("defense-evasion", "TA0005", "Defense Evasion"),
    ("credential-access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral-movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("command-and-control", "TA0011", "Command and Control"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("impact", "TA0040", "Impact"),
];

/// Id and name of the tactic that a tag names.
pub(crate) fn tactic(tag: &str) -> Option<(&'static str, &'static str)> {
    let name = tag.strip_prefix("attack.")?.replace('_', "-");
    TACTICS.iter().find(|(slug, _, _)| *slug == name).map(|(_, id, name)| (*id, *name))
}

/// Id of the technique that a tag names: `T1548.003`.
pub(crate) fn technique(tag: &str) -> Option<String> {
    let id = tag.strip_prefix("attack.")?.to_ascii_uppercase();
    let digits = id.strip_prefix('T')?;
    let legal = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (digits.len() >= 4 && legal).then_some(id)
}
