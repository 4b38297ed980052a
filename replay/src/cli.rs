//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use warden_session::Kind;

use crate::record::OnError;

/// Knows what was done inside AWS Session Manager sessions.
///
/// Reads what AWS keeps of a session (S3 transcripts, CloudWatch log streams, CloudTrail records) and what was captured of
/// its data channel, works out which commands were really run, matches them and the API calls against Sigma rules, and
/// verifies, replays and exports the session as evidence.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 clean, 1 findings, 2 bad usage or unreadable input, 3 done but incomplete (messages are missing or stay
encrypted, the record is cut, a size cap was reached); if several hold, the highest.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the rules over transcripts, log streams, CloudTrail records, captures and recordings
    Scan(Scan),
    /// List the commands that were run
    Commands(Commands),
    /// Show every WebSocket message of a capture
    Frames(Frames),
    /// Check that a capture is whole, and say what it holds
    Verify(Verify),
    /// Write a session in another form: asciicast, HTML, text, JSON, streams, pcap, Timesketch
    Export(Export),
    /// Replay a session on the terminal
    Play(Play),
    /// Run a command that starts a session, and capture the session's data channel
    Record(Record),
    /// Check, test, list and try rules
    #[command(subcommand)]
    Rules(Rules),
}

/// `warden scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Rules to run instead of the shipped library: a file, a folder or a pack (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Report only findings of this level or higher
    #[arg(long, value_enum, default_value_t = MinLevel::Informational, value_name = "LEVEL")]
    pub(crate) min_level: MinLevel,
    /// Targets whose sessions are to be reported (rules see `Warden.TargetInList`): a file with one id a line
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: Option<PathBuf>,
    /// How to print findings
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
}

/// `warden commands`.
#[derive(Debug, Args)]
pub(crate) struct Commands {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// How to print commands
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What to read.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// Files or folders; `-` is standard input. The kind is recognised from the content; gzip and zstd are transparent
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How an input is read.
#[derive(Debug, Default, Args)]
pub(crate) struct Reading {
    /// What the named input is, whatever it looks like
    #[arg(long, value_enum)]
    pub(crate) kind: Option<KindName>,
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// Timing file of a typescript; without it the one beside it is looked for
    #[arg(long, value_name = "FILE")]
    pub(crate) timing: Option<PathBuf>,
}

/// What opens a capture.
#[derive(Debug, Default, Args)]
pub(crate) struct Keys {
    /// The session's 64-byte data key in hexadecimal
    #[arg(long, value_name = "HEX")]
    pub(crate) key: Option<String>,
    /// Ask KMS for the session's data key, with the caller's credentials and the region of the environment
    #[arg(long, conflicts_with = "key")]
    pub(crate) kms: bool,
    /// With `--kms`: the session's target, which is part of the key's encryption context and in no capture
    #[arg(long, value_name = "ID", requires = "kms")]
    pub(crate) target: Option<String>,
    /// TLS secrets of a packet capture (`SSLKEYLOGFILE`)
    #[arg(long, value_name = "FILE")]
    pub(crate) keylog: Option<PathBuf>,
    /// age identities of an encrypted capture, as `age-keygen` writes them
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

/// `warden frames`.
#[derive(Debug, Args)]
pub(crate) struct Frames {
    /// A capture: warden's own, frames JSON Lines, HAR, pcap or pcapng; `-` is standard input
    #[arg(value_name = "CAPTURE")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// How to print frames
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// `warden verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A capture: warden's own, frames JSON Lines, HAR, pcap or pcapng; `-` is standard input
    #[arg(value_name = "CAPTURE")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// `warden export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A capture, a recording, a transcript or a log stream; `-` is standard input
    pub(crate) path: PathBuf,
    /// The form to write
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) to: ExportForm,
    /// Where to write it: a file, or a folder for streams; without it standard output
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Leave out secrets inside commands, wherever they are shown; digests of them stay. Input that was not echoed is left
    /// out in any case
    #[arg(long)]
    pub(crate) redact: bool,
    /// Leave out what this regular expression matches in a line of the screen (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub(crate) redact_pattern: Vec<regex::Regex>,
    /// Key of the digests of what is left out: any file of 16 bytes or more; without it a random key, which is kept nowhere
    #[arg(long, value_name = "FILE")]
    pub(crate) redact_key: Option<PathBuf>,
    /// Rules to run instead of the shipped library: a file or a folder (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// asciicast: write version 2
    #[arg(long)]
    pub(crate) v2: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// `warden play`.
#[derive(Debug, Args)]
pub(crate) struct Play {
    /// A capture, a recording, a transcript or a log stream; `-` is standard input
    pub(crate) path: PathBuf,
    /// Open at a place: seconds or MINUTES:SECONDS since the start, a time of day (UTC), RFC 3339, or @BYTE of the output
    #[arg(long, value_name = "TIME|@OFFSET", group = "place")]
    pub(crate) at: Option<String>,
    /// Open at a command, by the number that `warden commands` gives it
    #[arg(long, value_name = "N", group = "place")]
    pub(crate) command: Option<u64>,
    /// Open at a finding, counted from 1
    #[arg(long, value_name = "N", group = "place")]
    pub(crate) finding: Option<u64>,
    /// How fast to play: 0.25 to 64
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(crate) speed: f64,
    /// Print the lines that were shown, each with its time, instead of playing them
    #[arg(long)]
    pub(crate) no_tui: bool,
    /// Which session of a capture that holds several, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) session: usize,
    /// Rules to find things with instead of the shipped library: a file or a folder (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// `warden record`.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Where to write the capture, which must not exist; without it SESSION-ID.warden in the current folder
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What to do when the capture cannot be written
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    pub(crate) on_error: OnError,
    /// Keep typed characters that were not echoed, passwords among them; without it they are masked
    #[arg(long)]
    pub(crate) keep_input: bool,
    /// Encrypt the capture for this age recipient (repeatable)
    #[arg(long, value_name = "age1…")]
    pub(crate) recipient: Vec<String>,
    /// Encrypt the capture for the age recipients in this file (repeatable)
    #[arg(short = 'R', long, value_name = "FILE")]
    pub(crate) recipients_file: Vec<PathBuf>,
    /// Root certificates to trust besides the system's, for a network that opens TLS (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The command that starts the session, behind `--`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Forms to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// asciicast v3
    Asciicast,
    /// One self-contained file that plays offline
    Html,
    /// The lines that a reader of the terminal saw
    Text,
    /// JSON Lines
    Json,
    /// Each reassembled stream and forwarded connection as a file
    Streams,
    /// Forwarded connections as packets
    Pcap,
    /// Timesketch JSON Lines
    Timesketch,
}

/// `warden rules`.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Parse rules and report every error, with its place and what to write instead
    Check {
        /// Rule files or folders
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Run the cases inside the rules
    Test {
        /// Rule files or folders; without any, the shipped library
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// List rules
    List {
        /// Rule files or folders; without any, the shipped library
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// How to print them
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Compile rules into a pack, which `--rules` and the Lambdas load without parsing
    Pack {
        /// Rule files or folders; without any, the shipped library
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Where to write it
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Match events (JSON Lines of `{"logsource":{…},"event":{…}}`) and print the ids of the rules that fire
    Match {
        /// Rule files or folders; without any, the shipped library
        #[arg(long, value_name = "PATH")]
        rules: Vec<PathBuf>,
        /// Events; `-` is standard input
        #[arg(long, value_name = "FILE")]
        events: PathBuf,
        /// Print load and matching times to stderr
        #[arg(long)]
        stats: bool,
    },
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Plain formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// JSON Lines
    Json,
}

/// Formats of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanFormat {
    /// For people
    Text,
    /// JSON Lines, closed by a summary
    Json,
    /// OCSF Detection Findings (class 2004), JSON Lines
    Ocsf,
    /// One SARIF 2.1.0 log
    Sarif,
}

/// Levels of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MinLevel {
    /// Everything
    Informational,
    /// Low and above
    Low,
    /// Medium and above
    Medium,
    /// High and above
    High,
    /// Critical only
    Critical,
}

impl From<MinLevel> for warden_rules::Level {
    fn from(level: MinLevel) -> Self {
        match level {
            MinLevel::Informational => Self::Informational,
            MinLevel::Low => Self::Low,
            MinLevel::Medium => Self::Medium,
            MinLevel::High => Self::High,
            MinLevel::Critical => Self::Critical,
        }
    }
}

/// Kinds of input, by the names that findings use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindName {
    /// S3 transcript
    Transcript,
    /// CloudWatch log events
    LogStream,
    /// CloudTrail records
    ApiCall,
    /// WebSocket messages of a data channel
    Capture,
    /// asciicast, typescript with timing, ttyrec
    Recording,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Transcript => Self::Transcript,
            KindName::LogStream => Self::LogStream,
            KindName::ApiCall => Self::ApiCall,
            KindName::Capture => Self::Capture,
            KindName::Recording => Self::Recording,
        }
    }
}
