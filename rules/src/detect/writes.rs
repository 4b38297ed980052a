//! Which files an invocation writes, empties, replaces or removes, as its words and redirections say.

use warden_session::Invocation;

/// Longest list that one invocation gives.
const MAX_PATHS: usize = 64;

/// How a program names what it writes.
#[derive(Clone, Copy)]
enum Target {
    /// All operands.
    Each,
    /// All operands after the first, which is an expression or a mode.
    Rest,
    /// The last of several operands.
    Last,
    /// `of=PATH`.
    OutputFile,
    /// The value of these options.
    Options(&'static [&'static str]),
    /// All operands after the expression, with an option that edits in place.
    InPlace,
}

/// Programs, with the ways in which each writes.
const PROGRAMS: &[(&[&str], Target)] = &[
    (&["tee", "truncate", "shred", "srm", "rm", "unlink", "touch", "ed", "ex", "sponge", "wipe"], Target::Each),
    (&["cp", "mv", "install", "ln", "rsync", "scp", "link", "rename"], Target::Last),
    (&["cp", "mv", "install", "ln"], Target::Options(&["-t", "--target-directory"])),
    (&["dd", "dcfldd", "dc3dd"], Target::OutputFile),
    (&["sed", "gsed", "perl", "ruby"], Target::InPlace),
    (&["curl", "fetch", "aria2c", "axel", "gcc", "cc", "sort", "gpg", "openssl", "jq", "yq", "base64"], Target::Options(&["-o", "--output", "-out"])),
    (&["wget"], Target::Options(&["-O", "--output-document", "-o", "--output-file", "-a", "--append-output"])),
    (&["unzip"], Target::Options(&["-d"])),
    (&["crudini", "augtool"], Target::Rest),
];

/// The paths, in the order in which they stand; relative ones are put below `folder` if it is known.
pub(super) fn writes(invocation: Option<&Invocation>, redirects: &[String], folder: Option<&str>) -> Vec<String> {
    let mut paths: Vec<&str> = redirects.iter().filter_map(|redirect| written(redirect)).collect();
    if let Some((program, arguments)) = invocation.and_then(|invocation| invocation.argv.split_first()) {
        let name = program.rsplit('/').next().unwrap_or(program);
        for (names, target) in PROGRAMS {
            if names.contains(&name) {
                operands(*target, arguments, &mut paths);
            }
        }
    }
    let mut absolute: Vec<String> = Vec::new();
    for path in paths.into_iter().take(MAX_PATHS) {
        let path = below(path, folder);
        if !absolute.contains(&path) {
            absolute.push(path);
        }
    }
    absolute
}

fn written(redirect: &str) -> Option<&str> {
    let (operator, target) = redirect.split_once(' ')?;
    operator.contains('>').then_some(target)
}

fn operands<'a>(target: Target, arguments: &'a [String], paths: &mut Vec<&'a str>) {
    let plain = || arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
    match target {
        Target::Each => paths.extend(plain()),
        Target::Rest => paths.extend(plain().skip(1)),
        Target::Last => paths.extend(plain().last().filter(|_| plain().count() > 1)),
        Target::OutputFile => paths.extend(arguments.iter().filter_map(|word| word.strip_prefix("of="))),
        Target::Options(names) => paths.extend(names.iter().flat_map(|name| option_values(name, arguments))),
        Target::InPlace if arguments.iter().any(|word| edits_in_place(word)) => {
            let expression = arguments.iter().any(|word| matches!(word.as_str(), "-e" | "-f" | "--expression"));
            paths.extend(plain().skip(usize::from(!expression)));
        }
        Target::InPlace => {}
    }
}

/// `-o PATH`, `-oPATH`, `-sSo PATH`, `--output PATH`, `--output=PATH`.
fn option_values<'a>(name: &'static str, arguments: &'a [String]) -> impl Iterator<Item = &'a str> {
    let long = name.starts_with("--") || name.len() > 2;
    let letter = name.get(1..2).unwrap_or_default();
    let following = arguments.iter().zip(arguments.iter().skip(1)).filter_map(move |(word, value)| {
        let cluster = !long && word.len() < 8 && !word.starts_with("--") && word.ends_with(letter);
        (word == name || (word.starts_with('-') && cluster)).then_some(value.as_str())
    });
    let joined = arguments.iter().filter_map(move |word| {
        let rest = word.strip_prefix(name)?;
        if long { rest.strip_prefix('=') } else { Some(rest).filter(|rest| rest.starts_with(['/', '~', '.'])) }
    });
    following.chain(joined)
}

fn edits_in_place(word: &str) -> bool {
    let short = word.starts_with('-') && !word.starts_with("--") && word.len() < 8 && word.contains('i');
    short || word.starts_with("-i") || word.starts_with("--in-place")
}

fn below(path: &str, folder: Option<&str>) -> String {
    let folder = folder.filter(|folder| folder.starts_with('/') && !path.starts_with(['/', '~', '$', '-']));
    let joined = folder.map_or_else(|| path.to_owned(), |folder| format!("{}/{path}", folder.trim_end_matches('/')));
    let mut clean = String::with_capacity(joined.len());
    for part in joined.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if !clean.is_empty() || joined.starts_with('/') {
            clean.push('/');
        }
        clean.push_str(part);
    }
    if clean.is_empty() { joined } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_programs_and_redirections_write() {
        for (argv, redirects, folder, expected) in [
            ("tee -a /etc/cron.d/x", &[][..], None, &["/etc/cron.d/x"][..]),
            ("cp -f a b /etc/x", &[], None, &["/etc/x"]),
            ("cp a", &[], None, &[]),
            ("mv -t /etc a b", &[], None, &["b", "/etc"]),
            ("dd if=/dev/zero of=/dev/sda", &[], None, &["/dev/sda"]),
            ("sed -i s/a/b/ /etc/x /etc/y", &[], None, &["/etc/x", "/etc/y"]),
            ("sed -n 1p /etc/x", &[], None, &[]),
            ("curl -sSo /tmp/x https://example.com", &[], None, &["/tmp/x"]),
            ("curl --output=/tmp/x https://example.com", &[], None, &["/tmp/x"]),
            ("wget -O /tmp/x https://example.com", &[], None, &["/tmp/x"]),
            ("echo x", &["> passwd", "< in", "2> log"], Some("/etc"), &["/etc/passwd", "/etc/log"]),
            ("echo x", &[">> /etc//cron.d/./x"], None, &["/etc/cron.d/x"]),
            ("echo x", &["> ~/.bashrc"], Some("/etc"), &["~/.bashrc"]),
        ] {
            let argv = argv.split(' ').map(str::to_owned).collect();
            let invocation = Invocation { argv, via: Vec::new(), decoded: false };
            let redirects: Vec<String> = redirects.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(writes(Some(&invocation), &redirects, folder), expected, "{invocation:?}");
        }
    }
}
