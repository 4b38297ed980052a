//! Programs that start other programs: where, among their arguments, the inner command begins.

/// How a wrapper's own arguments look; what follows them is the inner command.
#[derive(Debug)]
pub(super) struct Wrapper {
    /// Names it goes by.
    names: &'static [&'static str],
    /// Short options that take a value, attached or as the next word.
    values: &'static str,
    /// Long options (or long options with one dash) that take the next word as their value.
    long: &'static [&'static str],
    /// Words of its own before the command: a duration, a directory, a container.
    own: usize,
    /// Whether `NAME=value` words may stand before the command.
    assignments: bool,
    /// Options after which no command runs: they list, edit or check.
    none: &'static [&'static str],
}

const PLAIN: Wrapper = Wrapper { names: &[], values: "", long: &[], own: 0, assignments: false, none: &[] };

/// Manual pages: sudo 1.9, util-linux 2.40, coreutils 9, findutils 4.10, Docker 27, kubectl 1.31, systemd 256.
const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["sudo"],
        values: "ugCcDRTprhtU",
        long: &[
            "--user",
            "--group",
            "--close-from",
            "--chdir",
            "--chroot",
            "--command-timeout",
            "--prompt",
            "--role",
            "--host",
            "--type",
            "--other-user",
            "--login-class",
        ],
        assignments: true,
        none: &["-e", "--edit", "-l", "--list", "-v", "--validate", "-V", "--version", "-K", "--remove-timestamp"],
        ..PLAIN
    },
    Wrapper { names: &["doas"], values: "uC", none: &["-L"], ..PLAIN },
    Wrapper { names: &["pkexec"], long: &["--user", "-u"], ..PLAIN },
    Wrapper { names: &["gosu", "su-exec", "setuidgid"], own: 1, ..PLAIN },
    Wrapper { names: &["env"], values: "uCa", long: &["--unset", "--chdir", "--argv0"], assignments: true, ..PLAIN },
    Wrapper {
        names: &[
            "nohup",
            "setsid",
            "builtin",
            "busybox",
            "toybox",
            "catchsegv",
            "fakeroot",
            "torsocks",
            "torify",
            "tsocks",
            "unbuffer",
            "linux32",
            "linux64",
            "i386",
            "x86_64",
            "uname26",
            "noglob",
            "nocorrect",
            "rlwrap",
            "eatmydata",
            "dbus-run-session",
            "coproc",
            "stderred",
            "and",
            "or",
            "not",
            "aws-vault",
        ],
        ..PLAIN
    },
    Wrapper { names: &["command"], none: &["-v", "-V", "-pv", "-pV", "-vp"], ..PLAIN },
    Wrapper { names: &["nice"], values: "n", long: &["--adjustment"], ..PLAIN },
    Wrapper {
        names: &["ionice"],
        values: "cn",
        long: &["--class", "--classdata"],
        none: &["-p", "--pid", "-P", "-u"],
        ..PLAIN
    },
    Wrapper { names: &["chrt"], values: "TPD", own: 1, none: &["-p", "--pid", "-m", "--max"], ..PLAIN },
    Wrapper { names: &["taskset"], own: 1, none: &["-p", "--pid"], ..PLAIN },
    Wrapper { names: &["stdbuf"], values: "ioe", long: &["--input", "--output", "--error"], ..PLAIN },
    Wrapper { names: &["time"], values: "fo", long: &["--format", "--output"], ..PLAIN },
    Wrapper { names: &["timeout", "gtimeout"], values: "sk", long: &["--signal", "--kill-after"], own: 1, ..PLAIN },
    Wrapper { names: &["chroot"], long: &["--userspec", "--groups"], own: 1, ..PLAIN },
    Wrapper {
        names: &["unshare"],
        values: "SGRwl",
        long: &["--setuid", "--setgid", "--root", "--wd", "--map-users", "--map-groups", "--map-user", "--map-group"],
        ..PLAIN
    },
    Wrapper { names: &["nsenter"], values: "tSGW", long: &["--target", "--setuid", "--setgid"], ..PLAIN },
    Wrapper {
        names: &["setpriv"],
        long: &[
            "--reuid",
            "--regid",
            "--ruid",
            "--euid",
            "--rgid",
            "--egid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
            "--selinux-label",
            "--apparmor-profile",
        ],
        ..PLAIN
    },
    Wrapper {
        names: &["xargs", "gxargs"],
        values: "aEIdLnPs",
        long: &[
            "--arg-file",
            "--delimiter",
            "--max-lines",
            "--max-args",
            "--max-procs",
            "--max-chars",
            "--process-slot-var",
        ],
        ..PLAIN
    },
    Wrapper { names: &["exec"], values: "a", ..PLAIN },
    Wrapper { names: &["sshpass"], values: "pfdP", ..PLAIN },
    Wrapper {
        names: &["systemd-run"],
        values: "uptEHMP",
        long: &[
            "--unit",
            "--property",
            "--description",
            "--slice",
            "--service-type",
            "--uid",
            "--gid",
            "--nice",
            "--working-directory",
            "--setenv",
            "--on-active",
            "--on-boot",
            "--on-startup",
            "--on-unit-active",
            "--on-unit-inactive",
            "--on-calendar",
            "--path-property",
            "--timer-property",
            "--socket-property",
            "--host",
            "--machine",
        ],
        ..PLAIN
    },
    Wrapper { names: &["systemd-inhibit"], long: &["--what", "--who", "--why", "--mode"], ..PLAIN },
    Wrapper { names: &["strace"], values: "abeEIoOpPsSuUX", none: &["-p"], ..PLAIN },
    Wrapper { names: &["ltrace"], values: "aAeDFlnopsuwx", none: &["-p"], ..PLAIN },
    Wrapper { names: &["proxychains", "proxychains4"], values: "f", ..PLAIN },
    Wrapper { names: &["setarch"], own: 1, ..PLAIN },
    Wrapper { names: &["faketime", "cpulimit"], own: 1, ..PLAIN },
    Wrapper { names: &["xvfb-run"], values: "efnpsw", ..PLAIN },
    Wrapper { names: &["lxc-attach"], values: "nPe", long: &["--name"], ..PLAIN },
];

const EXEC: Wrapper = Wrapper {
    values: "euw",
    long: &["--env", "--user", "--workdir", "--env-file", "--detach-keys", "--index"],
    own: 1,
    ..PLAIN
};

const KUBECTL_EXEC: Wrapper = Wrapper {
    values: "ncfs",
    long: &["--namespace", "--container", "--filename", "--context", "--kubeconfig"],
    own: 1,
    ..PLAIN
};

const CONTAINER_RUN: Wrapper = Wrapper {
    values: "acehlmpuvw",
    long: &[
        "--add-host",
        "--cap-add",
        "--cap-drop",
        "--cgroupns",
        "--cidfile",
        "--cpus",
        "--device",
        "--dns",
        "--entrypoint",
        "--env",
        "--env-file",
        "--expose",
        "--gpus",
        "--group-add",
        "--hostname",
        "--ip",
        "--ipc",
        "--label",
        "--link",
        "--log-driver",
        "--log-opt",
        "--memory",
        "--mount",
        "--name",
        "--net",
        "--network",
        "--network-alias",
        "--pid",
        "--platform",
        "--publish",
        "--pull",
        "--restart",
        "--runtime",
        "--security-opt",
        "--shm-size",
        "--stop-signal",
        "--sysctl",
        "--tmpfs",
        "--ulimit",
        "--user",
        "--userns",
        "--uts",
        "--volume",
        "--volumes-from",
        "--workdir",
    ],
    own: 1,
    ..PLAIN
};

const SSH: Wrapper = Wrapper { values: "BbcDEeFIiJLlmOoPpQRSWw", own: 1, none: &["-V", "-Q", "-G"], ..PLAIN };

/// Where the inner command of a wrapper's argument vector begins; `None` if `argv` is no wrapper or starts nothing.
pub(super) fn inner(name: &str, argv: &[&str]) -> Option<usize> {
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name))?;
    // `nice -10 cmd`, `nice +5`: not short options.
    wrapper.skip(argv, 1)
}

/// The same for programs whose first words choose what they do; gives the label of the wrapper too.
pub(super) fn inner_of_verb(name: &str, argv: &[&str]) -> Option<(String, usize)> {
    let containers = matches!(name, "docker" | "podman" | "nerdctl" | "crictl" | "ctr" | "lxc" | "oc" | "kubectl");
    if !containers && name != "docker-compose" {
        return None;
    }
    let verb_at = argv.iter().skip(1).position(|word| VERBS.contains(word))? + 1;
    let verb = *argv.get(verb_at)?;
    let kube = matches!(name, "kubectl" | "oc");
    let wrapper = match verb {
        "exec" | "rsh" if kube => &KUBECTL_EXEC,
        "exec" => &EXEC,
        "run" if !kube => &CONTAINER_RUN,
        _ => return None,
    };
    let double = argv.iter().position(|word| *word == "--").filter(|_| kube || name == "lxc");
    let start = match double {
        Some(at) => at + 1,
        None => wrapper.skip(argv, verb_at + 1)?,
    };
    (start < argv.len()).then(|| (format!("{name} {verb}"), start))
}

const VERBS: [&str; 3] = ["exec", "run", "rsh"];

/// Where the remote command of `ssh` begins.
pub(super) fn ssh(argv: &[&str]) -> Option<usize> {
    SSH.skip(argv, 1)
}

impl Wrapper {
    fn skip(&self, argv: &[&str], from: usize) -> Option<usize> {
        let mut at = from;
        let mut own = self.own;
        let mut options = true;
        while let Some(word) = argv.get(at) {
            if options && self.none.contains(word) {
                return None;
            }
            if options && *word == "--" {
                options = false;
                at += 1;
            } else if options && word.len() > 1 && word.starts_with('-') {
                at += 1 + usize::from(self.takes_next(word));
            } else if self.assignments && is_assignment(word) {
                at += 1;
            } else if own > 0 {
                own -= 1;
                at += 1;
                // An option after its own words belongs to the command, but for `chroot DIR -- cmd`.
                options = argv.get(at) == Some(&"--");
            } else {
                return Some(at);
            }
        }
        None
    }

    /// Whether an option's value is the next word.
    fn takes_next(&self, word: &str) -> bool {
        if word.starts_with("--") {
            return self.long.contains(&word);
        }
        let letters = word.get(1..).unwrap_or_default();
        // The first letter with a value takes the rest of the word, or the next word if nothing is left.
        self.long.contains(&word) || letters.find(|c| self.values.contains(c)).is_some_and(|at| at + 1 == letters.len())
    }
}

fn is_assignment(word: &str) -> bool {
    let name = super::parser::identifier(word);
    !name.is_empty() && word.get(name.len()..).is_some_and(|rest| rest.starts_with('='))
}
