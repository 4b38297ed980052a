//! Programs that take secrets as arguments, and where.

/// One family of programs.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) family: &'static str,
    names: &'static [&'static str],
    /// Short options with the secret attached: `-pX`.
    pub(super) attached: &'static [&'static str],
    /// Short options with the secret as the next word: `-p X`.
    pub(super) separate: &'static [&'static str],
    /// Words of which one must follow, for the options to mean a secret: `docker login`.
    pub(super) needs: &'static [&'static str],
    /// Options whose next word is a value, and so is no positional argument.
    pub(super) values: &'static [&'static str],
}

const NONE: Tool = Tool { family: "", names: &[], attached: &[], separate: &[], needs: &[], values: &[] };

/// Manual pages of the programs named.
const TOOLS: &[Tool] = &[
    Tool {
        family: "mysql",
        names: &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mysqlshow",
            "mysqlcheck",
            "mysqlsh",
            "mysqlslap",
            "mysqlbinlog",
            "mysql_upgrade",
            "mysqlpump",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
            "mariadb-backup",
            "mariadb-import",
            "mariadb-check",
            "xtrabackup",
            "innobackupex",
            "mydumper",
            "myloader",
            "pt-query-digest",
            "mycli",
            "percona-xtrabackup",
        ],
        attached: &["-p"],
        ..NONE
    },
    Tool { family: "mysqladmin", names: &["mysqladmin", "mariadb-admin"], ..NONE },
    Tool {
        family: "psql",
        names: &[
            "psql",
            "pg_dump",
            "pg_dumpall",
            "pg_restore",
            "createdb",
            "dropdb",
            "createuser",
            "pg_basebackup",
            "vacuumdb",
        ],
        ..NONE
    },
    Tool {
        family: "p",
        names: &[
            "sshpass",
            "crackmapexec",
            "cme",
            "netexec",
            "nxc",
            "evil-winrm",
            "hydra",
            "medusa",
            "rdesktop",
            "cqlsh",
            "cypher-shell",
            "beeline",
            "couchbase-cli",
            "ncftp",
            "ncftpput",
            "ncftpget",
            "hdbsql",
            "kafkacat",
            "certutil",
            "psexec",
            "psexec64",
            "bloodhound-python",
            "kerbrute",
            "certipy",
            "wbadmin",
            "mc",
            "arangosh",
            "ssh-copy-id-pass",
            "snowsql",
            "twine",
            "rabbitmqadmin",
            "tabcmd",
        ],
        attached: &["-p"],
        separate: &["-p"],
        ..NONE
    },
    Tool {
        family: "mongo",
        names: &[
            "mongo",
            "mongosh",
            "mongodump",
            "mongorestore",
            "mongoexport",
            "mongoimport",
            "mongostat",
            "mongotop",
        ],
        attached: &["-p"],
        separate: &["-p"],
        ..NONE
    },
    Tool {
        family: "login",
        names: &[
            "docker", "podman", "nerdctl", "helm", "crane", "skopeo", "oras", "buildah", "oc", "az", "cf", "ibmcloud",
            "regctl", "argocd", "finch",
        ],
        attached: &["-p"],
        separate: &["-p"],
        needs: &["login"],
        ..NONE
    },
    Tool { family: "names", names: &["docker", "podman", "buildah", "nerdctl", "gcloud", "pulumi", "finch"], ..NONE },
    Tool {
        family: "ldap",
        names: &[
            "ldapsearch",
            "ldapadd",
            "ldapmodify",
            "ldapdelete",
            "ldappasswd",
            "ldapwhoami",
            "ldapmodrdn",
            "ldapcompare",
            "ldapexop",
            "ldapurl",
        ],
        attached: &["-w"],
        separate: &["-w"],
        ..NONE
    },
    Tool { family: "ldappasswd", names: &["ldappasswd"], separate: &["-s", "-a"], ..NONE },
    Tool {
        family: "redis",
        names: &["redis-cli", "keydb-cli", "valkey-cli"],
        attached: &["-a"],
        separate: &["-a"],
        ..NONE
    },
    Tool {
        family: "percent",
        names: &[
            "smbclient",
            "rpcclient",
            "smbget",
            "smbcacls",
            "smbtree",
            "net",
            "winexe",
            "smbspool",
            "wmic",
            "smbmap",
            "pth-winexe",
            "nmblookup",
        ],
        values: &["-U", "-c", "-W", "-I", "-p", "-D", "--user", "--command"],
        ..NONE
    },
    Tool { family: "freerdp", names: &["xfreerdp", "xfreerdp3", "wlfreerdp", "mstsc"], attached: &["/p:"], ..NONE },
    Tool { family: "smbmap", names: &["smbmap"], separate: &["-p"], ..NONE },
    Tool { family: "zip", names: &["zip", "unzip", "zipcloak"], attached: &["-P"], separate: &["-P"], ..NONE },
    Tool {
        family: "7z",
        names: &["7z", "7za", "7zr", "7zz", "rar", "unrar", "p7zip"],
        attached: &["-p", "-hp"],
        ..NONE
    },
    Tool { family: "fcrackzip", names: &["pdftk", "qpdf"], ..NONE },
    Tool { family: "htpasswd", names: &["htpasswd", "htdigest"], values: &["-C", "-r"], ..NONE },
    Tool {
        family: "useradd",
        names: &["useradd", "usermod", "adduser", "groupadd", "groupmod"],
        attached: &["-p"],
        separate: &["-p"],
        ..NONE
    },
    Tool {
        family: "http",
        names: &[
            "curl", "wget", "http", "https", "xh", "wget2", "curlie", "aria2c", "hurl", "ab", "siege", "wrk", "hey",
            "grpcurl", "websocat",
        ],
        ..NONE
    },
    Tool { family: "httpie", names: &["http", "https", "xh"], ..NONE },
    Tool { family: "etcd", names: &["etcdctl", "influx"], ..NONE },
    Tool { family: "oracle", names: &["sqlplus", "rman", "expdp", "impdp", "sqlldr", "exp", "imp", "sqlcl"], ..NONE },
    Tool {
        family: "mssql",
        names: &[
            "sqlcmd",
            "bcp",
            "isql",
            "osql",
            "tsql",
            "mssql-cli",
            "ipmitool",
            "mosquitto_pub",
            "mosquitto_sub",
            "sqsh",
            "mqttx",
            "ftp-upload",
        ],
        attached: &["-P"],
        separate: &["-P"],
        ..NONE
    },
    Tool { family: "pulumi", names: &["pulumi"], values: &["--stack", "-s", "--cwd", "-C"], ..NONE },
    Tool { family: "iwconfig", names: &["iwconfig"], ..NONE },
    Tool { family: "cargo", names: &["cargo"], ..NONE },
    Tool { family: "snyk", names: &["snyk"], ..NONE },
    Tool { family: "poetry", names: &["poetry"], ..NONE },
    Tool { family: "mc", names: &["mc", "mcli"], ..NONE },
    Tool { family: "reg", names: &["reg"], ..NONE },
    Tool { family: "net", names: &["net", "net1"], ..NONE },
    Tool { family: "sc", names: &["sc"], ..NONE },
    Tool { family: "schtasks", names: &["schtasks"], separate: &["/rp", "/p", "/RP", "/P"], ..NONE },
    Tool { family: "vault", names: &["vault", "bao"], ..NONE },
    Tool {
        family: "openssl",
        names: &["openssl"],
        separate: &["-k", "-K", "-passwd"],
        values: &["-salt", "-in", "-out"],
        ..NONE
    },
    Tool { family: "keygen", names: &["ssh-keygen"], attached: &["-N", "-P"], separate: &["-N", "-P"], ..NONE },
    Tool {
        family: "security",
        names: &["security"],
        separate: &["-w", "-p", "-P"],
        needs: &[
            "add-generic-password",
            "add-internet-password",
            "unlock-keychain",
            "create-keychain",
            "import",
            "export",
        ],
        ..NONE
    },
    Tool { family: "dscl", names: &["dscl"], ..NONE },
    Tool {
        family: "snmp",
        names: &["snmpwalk", "snmpget", "snmpset", "snmpbulkwalk", "snmptrap"],
        separate: &["-A", "-X"],
        ..NONE
    },
    Tool { family: "rabbitmqctl", names: &["rabbitmqctl", "rabbitmqadmin"], ..NONE },
    Tool {
        family: "ansible-vault",
        names: &["ansible-vault"],
        values: &["--name", "-n", "--vault-password-file", "--vault-id", "--output"],
        ..NONE
    },
    Tool { family: "mkpasswd", names: &["mkpasswd"], values: &["-m", "-S", "-R", "--method", "--salt"], ..NONE },
    Tool { family: "wpa_passphrase", names: &["wpa_passphrase"], ..NONE },
    Tool { family: "nmcli", names: &["nmcli"], ..NONE },
    Tool { family: "lftp", names: &["lftp", "open"], ..NONE },
    Tool { family: "jenkins", names: &["jenkins-cli", "java"], ..NONE },
    Tool { family: "git", names: &["git"], ..NONE },
    Tool { family: "gh", names: &["gh"], attached: &["-b"], separate: &["-b"], needs: &["secret"], ..NONE },
    Tool { family: "db2", names: &["db2"], ..NONE },
    Tool { family: "securestring", names: &["ConvertTo-SecureString"], ..NONE },
    Tool {
        family: "impacket",
        names: &[
            "psexec.py",
            "wmiexec.py",
            "smbexec.py",
            "secretsdump.py",
            "atexec.py",
            "dcomexec.py",
            "mssqlclient.py",
            "smbclient.py",
            "GetUserSPNs.py",
            "GetNPUsers.py",
            "lookupsid.py",
            "getTGT.py",
            "ticketer.py",
            "impacket-psexec",
            "impacket-wmiexec",
            "impacket-secretsdump",
            "impacket-smbexec",
            "impacket-mssqlclient",
            "impacket-smbclient",
            "impacket-getTGT",
        ],
        ..NONE
    },
];

/// Words that may stand before a command of their own arguments.
const STARTERS: [&str; 53] = [
    "ProxyCommand",
    "sudo",
    "doas",
    "env",
    "nohup",
    "nice",
    "ionice",
    "time",
    "timeout",
    "watch",
    "xargs",
    "exec",
    "command",
    "builtin",
    "eval",
    "bash",
    "sh",
    "zsh",
    "dash",
    "su",
    "runuser",
    "setsid",
    "stdbuf",
    "flock",
    "strace",
    "docker",
    "podman",
    "kubectl",
    "oc",
    "nerdctl",
    "ssh",
    "sshpass",
    "proxychains",
    "proxychains4",
    "if",
    "then",
    "else",
    "elif",
    "do",
    "while",
    "until",
    "!",
    "{",
    "aws-vault",
    "chroot",
    "nsenter",
    "unshare",
    "parallel",
    "python",
    "python3",
    "winpty",
    "cmd",
    "docker-compose",
];

/// The programs that a command's words start, each with its place.
pub(super) fn of(texts: &[&str]) -> Vec<(usize, &'static Tool)> {
    // Assignments and a crontab line's times stand before the command.
    let time = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b"*,-/".contains(&b));
    let before = |text: &&str| (text.contains('=') && !text.contains('/')) || time(text);
    let first = texts.iter().position(|text| !before(text)).unwrap_or(0);
    let starts = texts.get(first).is_some_and(|text| STARTERS.contains(&basename(text)));
    // A tool's name later in the words is its own argument, unless a wrapper or PowerShell's braces stand before.
    let places = if starts { first..texts.len() } else { first..(first + 3).min(texts.len()) };
    let mut tools = Vec::new();
    for at in places {
        let Some(text) = texts.get(at) else { break };
        let inner = starts || at == first || matches!(texts.get(at - 1), Some(&"=" | &"&" | &"."));
        let name = basename(text);
        tools.extend(TOOLS.iter().filter(|tool| inner && tool.names.contains(&name)).map(|tool| (at, tool)));
    }
    tools
}

/// A program's name without folder and `.exe`.
pub(super) fn basename(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_suffix(".exe").or_else(|| name.strip_suffix(".EXE")).unwrap_or(name)
}
