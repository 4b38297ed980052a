//! Secrets by their place among a program's arguments.

use std::ops::Range;

use super::lexer::Word;
use super::name::{self, Kind, is_secret};
use super::tool::{self, Tool};

/// A secret: the number of the word, and the bytes of its text.
pub(super) type Place = (usize, Range<usize>);

/// Finds the secrets among the words of one simple command.
pub(super) fn find(words: &[Word], found: &mut Vec<Place>) {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let tools = tool::of(&texts);
    let finder = Finder { words, texts: &texts, tools: &tools };
    let assignments = texts.iter().take_while(|text| is_assignment(text)).count();
    for at in 0..words.len() {
        if at < assignments {
            finder.whole_value(at, found);
        } else {
            finder.word(at, found);
        }
    }
    for tool in &tools {
        finder.positional(tool, found);
    }
}

struct Finder<'w> {
    words: &'w [Word],
    texts: &'w [&'w str],
    tools: &'w [(usize, &'static Tool)],
}

fn is_assignment(text: &str) -> bool {
    let name = text.split(['=', '[', '+']).next().unwrap_or_default();
    text.contains('=') && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Finder<'_> {
    fn text(&self, at: usize) -> &str {
        self.texts.get(at).copied().unwrap_or_default()
    }

    /// Whether a command word at or before `at` belongs to a family.
    fn runs(&self, family: &str, at: usize) -> bool {
        self.tools.iter().any(|(from, tool)| *from <= at && tool.family == family)
    }

    /// `aws ssm put-parameter --type SecureString`.
    fn stores_securely(&self) -> bool {
        self.texts.iter().any(|text| matches!(*text, "SecureString" | "--type=SecureString"))
    }

    fn has(&self, words: &[&str]) -> bool {
        self.texts.iter().any(|text| words.contains(text))
    }

    /// Adds a part of a word from `start`, if it is a secret.
    fn add(&self, at: usize, start: usize, kind: Kind, found: &mut Vec<Place>) {
        self.add_part(at, start..self.text(at).len(), kind, found);
    }

    fn add_part(&self, at: usize, part: Range<usize>, kind: Kind, found: &mut Vec<Place>) {
        let Some(word) = self.words.get(at) else { return };
        let value = word.text.get(part.clone()).unwrap_or_default();
        if is_secret(word, part.start, value, kind) {
            found.push((at, part));
        }
    }

    /// The next word as a value, unless it is an option.
    fn add_next(&self, at: usize, kind: Kind, found: &mut Vec<Place>) {
        if !(self.text(at + 1).starts_with('-') && self.text(at + 1).len() > 1) {
            self.add(at + 1, 0, kind, found);
        }
    }

    /// `NAME=value`, where the value is the rest of the word.
    fn whole_value(&self, at: usize, found: &mut Vec<Place>) {
        let Some((name, _)) = self.text(at).split_once('=') else { return };
        if let Some(kind) = name::kind(name.trim_end_matches('+')) {
            self.add(at, name.len() + 1, kind, found);
        } else {
            self.pairs(at, found);
        }
    }

    fn word(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        if text.starts_with(['-', '/', '\u{2013}']) && text.len() > 2 {
            self.long(at, found);
        }
        if text.starts_with(['-', '/']) {
            self.short(at, found);
        }
        self.bare(at, found);
        self.pairs(at, found);
        if text.starts_with("pass:") && self.runs("openssl", at) {
            self.add(at, 5, Kind::Password, found);
        }
    }

    /// `--password X`, `--password=X`, `-Password X`, `/password:X`.
    fn long(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        let dashes = text.len() - text.trim_start_matches(['-', '/', '\u{2013}']).len();
        let body = text.get(dashes..).unwrap_or_default();
        let end = body.find(['=', ':']).unwrap_or(body.len());
        let name = body.get(..end).unwrap_or_default().trim();
        let odd = |b: u8| !(b.is_ascii_alphanumeric() || b"-_. ".contains(&b));
        if name.bytes().any(odd) || body.starts_with("no-") {
            return;
        }
        let slash = text.starts_with('/');
        if end < body.len() {
            let user = USER_FLAGS.contains(&name) && (self.runs("http", at) || self.runs("etcd", at));
            let value = dashes + end + 1;
            if user {
                self.after_colon(at, value, found);
            } else if let Some(kind) = self.flag_kind(name, at) {
                self.add(at, value, kind, found);
            }
            return;
        }
        if slash {
            return;
        }
        if let Some(kind) = self.flag_kind(name, at) {
            let boolean = self.runs("mysql", at) || self.runs("psql", at);
            if !boolean && !self.runs("openssl", at) {
                self.add_next(at, kind, found);
            }
        }
        self.long_of_tool(name, at, found);
    }

    fn flag_kind(&self, name: &str, at: usize) -> Option<Kind> {
        let named = matches!(name, "secret" | "secrets") && self.runs("names", at);
        let kind = name::kind(name).filter(|_| !named)?;
        // `find -pass`, `ssh -key`: one dash and few letters is a cluster of short options.
        (self.text(at).starts_with("--") || self.text(at).starts_with('/') || name.len() > 3 || name == "pwd")
            .then_some(kind)
    }

    fn long_of_tool(&self, name: &str, at: usize, found: &mut Vec<Place>) {
        if USER_FLAGS.contains(&name) && (self.runs("http", at) || self.runs("etcd", at)) {
            self.after_colon(at + 1, 0, found);
        }
        if matches!(name, "user" | "User") && self.runs("percent", at) {
            self.after_percent(at + 1, 0, found);
        }
        let stored = match name {
            "value" => self.stores_securely() || self.has(&["keyvault"]),
            "body" => self.runs("gh", at) && self.has(&["secret"]),
            "from-literal" => {
                self.literal(at + 1, 0, found);
                false
            }
            "header" => {
                self.header(at + 1, 0, found);
                false
            }
            "oauth2-bearer" => true,
            _ => false,
        };
        if stored {
            self.add(at + 1, 0, Kind::Password, found);
        }
    }

    /// Short options, which mean a secret for some programs only.
    fn short(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        if text.starts_with("--") {
            if let Some(value) = text.strip_prefix("--header=") {
                self.header(at, text.len() - value.len(), found);
            } else if let Some(value) = text.strip_prefix("--from-literal=") {
                self.literal(at, text.len() - value.len(), found);
            } else if let Some(value) = text.strip_prefix("--cookie=") {
                self.cookie(at, text.len() - value.len(), found);
            } else if let Some(value) = text.strip_prefix("--value=").filter(|_| self.stores_securely()) {
                self.add(at, text.len() - value.len(), Kind::Password, found);
            }
            if text == "--cookie" {
                self.cookie(at + 1, 0, found);
            }
            return;
        }
        for (from, tool) in self.tools.iter().filter(|(from, _)| *from < at) {
            if tool.needs.is_empty() || self.texts.iter().skip(*from).any(|text| tool.needs.contains(text)) {
                self.short_of(tool, at, found);
            }
        }
    }

    fn short_of(&self, tool: &Tool, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        for flag in tool.attached {
            if text.starts_with(flag) && text.len() > flag.len() {
                self.add(at, flag.len(), Kind::Password, found);
            }
        }
        for flag in tool.separate {
            let cluster = matches!(tool.family, "zip" | "useradd") && flag.len() == 2;
            let letters = |text: &str| text.bytes().skip(1).all(|b| b.is_ascii_alphabetic());
            if text == *flag || (cluster && letters(text) && text.ends_with(flag.trim_start_matches('-'))) {
                self.add(at + 1, 0, Kind::Password, found);
            }
        }
        match tool.family {
            "http" => self.curl(at, found),
            "percent" => match text.strip_prefix("-U") {
                Some("") => self.after_percent(at + 1, 0, found),
                Some(_) => self.after_percent(at, 2, found),
                None => {}
            },
            "lftp" if text == "-u" => self.after(at + 1, 0, ',', found),
            "jenkins" if text == "-auth" => self.after_colon(at + 1, 0, found),
            _ => {}
        }
    }

    /// `-u user:pass`, `-U`, `-H header`, `-b cookies`, also as the last letter of a cluster.
    fn curl(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        let letters = text.get(1..).unwrap_or_default();
        let Some(place) = letters.find(['u', 'U', 'H', 'b', 'a', 'E']) else { return };
        if !letters.get(..place).unwrap_or_default().bytes().all(|b| b"sSkLivfgGIjlNnpqORJ0123456".contains(&b)) {
            return;
        }
        let attached = letters.len() > place + 1;
        let (word, start) = if attached { (at, place + 2) } else { (at + 1, 0) };
        match letters.as_bytes().get(place) {
            Some(b'u' | b'U' | b'E') => self.after_colon(word, start, found),
            Some(b'a') if self.runs("httpie", at) => self.after_colon(word, start, found),
            Some(b'H') => self.header(word, start, found),
            Some(b'b') => self.cookie(word, start, found),
            _ => {}
        }
    }

    fn header(&self, at: usize, start: usize, found: &mut Vec<Place>) {
        let value = self.text(at).get(start..).unwrap_or_default();
        let Some((name, rest)) = value.split_once(':') else { return };
        let auth = name.trim().to_ascii_lowercase().ends_with("auth");
        let Some(kind) = name::kind(name).or(auth.then_some(Kind::Key)) else { return };
        let mut secret = rest.trim_start();
        if name.to_ascii_lowercase().ends_with("authorization")
            && let Some((scheme, credentials)) = secret.split_once(' ')
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            secret = credentials.trim_start();
        }
        let from = start + value.len() - secret.len();
        self.add(at, from, if kind == Kind::Key { Kind::Password } else { kind }, found);
    }

    fn cookie(&self, at: usize, start: usize, found: &mut Vec<Place>) {
        if self.text(at).get(start..).is_some_and(|value| value.contains('=')) {
            self.add(at, start, Kind::Password, found);
        }
    }

    fn literal(&self, at: usize, start: usize, found: &mut Vec<Place>) {
        self.after(at, start, '=', found);
    }

    fn after_colon(&self, at: usize, start: usize, found: &mut Vec<Place>) {
        self.after(at, start, ':', found);
    }

    fn after_percent(&self, at: usize, start: usize, found: &mut Vec<Place>) {
        self.after(at, start, '%', found);
    }

    fn after(&self, at: usize, start: usize, sign: char, found: &mut Vec<Place>) {
        let value = self.text(at).get(start..).unwrap_or_default();
        if let Some(place) = value.find(sign) {
            self.add(at, start + place + 1, Kind::Password, found);
        }
    }

    /// `NAME value` and `NAME = value`, where the words around say that it is set.
    fn bare(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        let name = text.trim_start_matches('$').trim_start_matches("env:").trim_start_matches("global:");
        let name = name.trim_start_matches("script:");
        let Some(kind) = name::kind(name).filter(|_| !text.starts_with('-') && !text.contains([' ', '='])) else {
            return;
        };
        if text.starts_with('$') || self.text(at + 1) == "=" {
            let cmdlet =
                self.text(at + 2).split_once('-').is_some_and(|(verb, noun)| is_capital(verb) && is_capital(noun));
            if matches!(self.text(at + 1), "=" | "+=") && !cmdlet {
                self.add(at + 2, 0, kind, found);
            }
            return;
        }
        let before = if at == 0 { "" } else { self.text(at - 1) };
        let first = self.text(0);
        let sets = matches!(first, "setx" | "setenv" | "set" | "SETX" | "Set") || tool::basename(first) == "setx.exe";
        let set = (sets && at < 4)
            || ["set", "config", "config:set", "add", "variables"].iter().any(|verb| before.eq_ignore_ascii_case(verb));
        let asked = self.runs("nmcli", at) || (self.runs("mysqladmin", at) && text == "password");
        let asked = asked || ["reset-", "set-", "change-", "add-"].iter().any(|verb| text.starts_with(verb));
        let git = self.runs("git", at) && self.has(&["config"]);
        if set || asked || git || text.contains(":_") {
            self.add_next(at, kind, found);
        }
    }

    /// `name=value` and `name:=value` anywhere in a word: form fields, connection strings, `-e NAME=value`.
    fn pairs(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        for (sign, _) in text.match_indices('=') {
            let before = text.get(..sign).unwrap_or_default().trim_end_matches([' ', ':', '+', '?']);
            let name = trailing_name(before);
            let after = text.get(sign + 1..).unwrap_or_default();
            let flag = text.starts_with('-') && before.len() - name.trim_start_matches('-').len() <= 2;
            if name.is_empty() || after.starts_with('=') || (flag && text.starts_with("--")) {
                continue;
            }
            let Some(kind) = name::kind(name.trim_start_matches('-')) else { continue };
            let blanks = after.len() - after.trim_start_matches(' ').len();
            let start = sign + 1 + blanks;
            if blanks == after.len() {
                // `sc config x password= X`.
                if self.runs("sc", at) {
                    self.add(at + 1, 0, kind, found);
                }
                continue;
            }
            let quoted = text.get(start..).is_some_and(|value| value.starts_with(['"', '\'']));
            let environment = !quoted && before.len() == name.len() && name.bytes().all(|b| !b.is_ascii_lowercase());
            let len = if environment { after.len() - blanks } else { value_len(text.get(start..).unwrap_or_default()) };
            let quote = usize::from(len > 1 && text.get(start..).is_some_and(|value| value.starts_with(['"', '\''])));
            self.add_part(at, start + quote..start + len - quote, kind, found);
        }
    }

    /// Words whose place alone makes them secret.
    fn positional(&self, (from, tool): &(usize, &'static Tool), found: &mut Vec<Place>) {
        let plain: Vec<usize> = (*from + 1..self.words.len()).filter(|at| !self.is_option(*at, tool)).collect();
        let nth = |n: usize| plain.get(n).copied();
        let secret = match tool.family {
            "htpasswd" => {
                let short = |text: &&&str| text.starts_with('-') && !text.starts_with("--") && text.contains('b');
                let batch = self.texts.iter().find(short);
                plain.last().copied().filter(|_| batch.is_some() && plain.len() > 1)
            }
            "net" => self.net(&plain),
            "vault" if nth(0).is_some_and(|at| self.text(at) == "login") => {
                nth(1).filter(|at| !self.text(*at).contains('='))
            }
            "oracle" => {
                return plain.iter().take(2).for_each(|at| self.oracle(*at, found));
            }
            "rabbitmqctl" => {
                let adds = nth(0).is_some_and(|at| matches!(self.text(at), "add_user" | "change_password"));
                nth(2).filter(|_| adds)
            }
            "ansible-vault" => nth(1).filter(|_| nth(0).is_some_and(|at| self.text(at) == "encrypt_string")),
            "openssl" => nth(1).filter(|_| nth(0).is_some_and(|at| self.text(at) == "passwd")),
            "wpa_passphrase" => nth(1),
            "percent" => {
                let share = nth(0).is_some_and(|at| self.text(at).starts_with("//"));
                nth(1).filter(|_| share && tool::basename(self.text(*from)) == "smbclient")
            }
            "pulumi" => nth(3).filter(|_| self.has(&["--secret"])),
            "impacket" => return plain.iter().take(1).for_each(|at| self.impacket(*at, found)),
            "redis" => {
                let auth = plain.iter().position(|at| self.text(*at).eq_ignore_ascii_case("auth"));
                plain.last().copied().filter(|_| auth.is_some_and(|auth| auth + 1 < plain.len()))
            }
            "vault" if self.has(&["unseal"]) => nth(2),
            "iwconfig" => self.texts.iter().position(|text| *text == "key").map(|at| at + 1),
            "cargo" | "snyk" => nth(1).filter(|_| nth(0).is_some_and(|at| matches!(self.text(at), "login" | "auth"))),
            "poetry" => plain.last().copied().filter(|_| {
                let name = nth(1).map(|at| self.text(at)).unwrap_or_default();
                nth(2).is_some() && (name.starts_with("pypi-token.") || name.starts_with("http-basic."))
            }),
            "mc" if self.has(&["alias"]) && plain.len() > 5 => {
                if let Some(at) = nth(4) {
                    self.add(at, 0, Kind::Password, found);
                }
                nth(5)
            }
            "reg" => {
                let value = self.texts.iter().position(|text| text.eq_ignore_ascii_case("/v"));
                let named = value.is_some_and(|at| name::kind(self.text(at + 1)).is_some());
                self.texts.iter().position(|text| text.eq_ignore_ascii_case("/d")).filter(|_| named).map(|at| at + 1)
            }
            "db2" => self.texts.iter().position(|text| text.eq_ignore_ascii_case("using")).map(|at| at + 1),
            "dscl" => plain.last().copied().filter(|at| *at > 3 && self.has(&["-passwd"])),
            "securestring" | "mkpasswd" => nth(0),
            _ => None,
        };
        if let Some(at) = secret {
            self.add(at, 0, Kind::Password, found);
        }
        if tool.family == "vault" && self.has(&["put", "write", "patch"]) {
            for at in plain {
                self.after(at, 0, '=', found);
            }
        }
    }

    fn is_option(&self, at: usize, tool: &Tool) -> bool {
        let text = self.text(at);
        let value = at > 0 && tool.values.contains(&self.text(at - 1));
        value || (text.starts_with('-') && text.len() > 1) || (tool.family == "net" && text.starts_with('/'))
    }

    /// `net user NAME X`, `net use \\server\share X`.
    fn net(&self, plain: &[usize]) -> Option<usize> {
        let verb = self.text(*plain.first()?).to_ascii_lowercase();
        match verb.as_str() {
            "user" => plain.get(2).copied(),
            "use" => {
                let share = plain.iter().position(|at| self.text(*at).starts_with('\\'))?;
                plain.get(share + 1).copied()
            }
            _ => None,
        }
    }

    /// `user/password@database`.
    fn oracle(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        let Some((user, rest)) = text.split_once('/') else { return };
        let end = rest.rfind('@').unwrap_or(rest.len());
        if !user.is_empty() && !user.starts_with(['-', '@', '.']) {
            self.add_part(at, user.len() + 1..user.len() + 1 + end, Kind::Password, found);
        }
    }

    /// `[domain/]user:password@host`.
    fn impacket(&self, at: usize, found: &mut Vec<Place>) {
        let text = self.text(at);
        let Some((host, colon)) = text.rfind('@').zip(text.find(':')) else { return };
        if colon < host {
            self.add_part(at, colon + 1..host, Kind::Password, found);
        }
    }
}

const USER_FLAGS: [&str; 5] = ["user", "proxy-user", "auth", "cert", "proxy-cert"];

fn is_capital(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.len() > 1
}

/// The name that ends a text: letters, digits, `_`, `-`, `.`.
fn trailing_name(text: &str) -> &str {
    let quoted = text.strip_suffix(['"', '\'', ']', '}']).unwrap_or(text);
    let len = quoted.bytes().rev().take(64).take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
    quoted.get(quoted.len() - len..).unwrap_or_default()
}

/// Where a value inside a longer text ends: at its quote, a blank, `&`, or a sign that another pair follows.
fn value_len(text: &str) -> usize {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return text.get(1..).and_then(|rest| rest.find(quote)).map_or(text.len(), |end| end + 2);
    }
    let ends = |(at, c): (usize, char)| match c {
        '&' | '\n' | '\'' | '"' | ' ' | '\t' => Some(at),
        ';' | ',' | '}' | ']' | ')' => {
            let rest = text.get(at + 1..).unwrap_or_default();
            (rest.is_empty() || rest.starts_with([' ', '"', '\'']) || starts_pair(rest)).then_some(at)
        }
        _ => None,
    };
    text.char_indices().find_map(ends).unwrap_or(text.len())
}

fn starts_pair(text: &str) -> bool {
    let name = text.bytes().take(64).take_while(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(b)).count();
    name > 0 && text.as_bytes().get(name) == Some(&b'=')
}
