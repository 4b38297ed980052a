//! Arguments quoted for a POSIX shell.

use std::fmt::Write as _;

use super::inert;

/// The argument as one word in ASCII, whatever it holds, and inert. Harmless names stay as they are; others stand in `'…'`,
/// or in `$'…'` (bash, zsh, ksh, POSIX 2024) where they hold what must not be shown as it is.
pub(super) fn for_shell(argument: &str) -> String {
    let is_inert = inert::line(argument, usize::MAX) == argument && argument.is_ascii();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    if is_inert && !argument.is_empty() && !argument.starts_with('-') && argument.chars().all(plain) {
        return argument.to_owned();
    }
    let markup = |c: char| "'\\<>`&".contains(c);
    if is_inert && !argument.starts_with('-') && !argument.contains(markup) {
        return format!("'{argument}'");
    }
    let scheme = ["s3://", "cloudwatch://"].into_iter().find(|scheme| argument.starts_with(scheme)).unwrap_or_default();
    let mut out = format!("$'{scheme}");
    for byte in argument.bytes().skip(scheme.len()) {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "_/=,+% ".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\{byte:03o}");
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::for_shell;

    #[test]
    fn a_shell_reads_every_argument_back() {
        let rows = [
            "s3://bucket/prefix/alice-0123456789abcdef0.log",
            "s3://bucket/a b/carol@example.com-x.log",
            "$(reboot)",
            "a'b\"c",
            "`id`;x&&y|z>w",
            "\u{1b}[2J\u{202e}é\n",
            "-rf",
            "",
            "s3://b/http://evil.example/!x",
            "s3://b/evil.com/x.log",
            "\u{7}1f",
        ];
        for argument in rows {
            let quoted = for_shell(argument);
            assert!(quoted.is_ascii() && !quoted.contains(|c: char| c.is_ascii_control()), "{quoted}");
            let output = Command::new("bash").arg("-c").arg(format!("printf -- %s {quoted}")).output();
            let Ok(output) = output else { continue };
            assert_eq!(String::from_utf8_lossy(&output.stdout), argument, "{quoted}");
        }
    }
}
