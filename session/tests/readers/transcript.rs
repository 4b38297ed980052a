//! S3 transcripts.

use proptest::prelude::*;
use warden_session::session::Platform;
use warden_session::timeline::Deviation::{LimitReached, Truncated};

use crate::support::{recorded_sessions, transcript};

const MODERN: &str = "Script started on 2026-11-22 13:08:33+00:00 [COMMAND=\"cat /var/lib/amazon/ssm/i-47431b43881c0689d/session/orchestration/alice-052afb0c93508ea82/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n";
const FOOTER: &str = "\nScript done on 2026-11-22 13:08:33+00:00 [COMMAND_EXIT_CODE=\"0\"]\n";
const OLD: &str = "Script started on 2020-05-27 23:00:48+0000\n";
const OLD_FOOTER: &str = "\nScript done on 2020-05-27 23:01:53+0000\n";

#[test]
fn recorded_transcripts_come_out_as_the_terminal_printed_them() {
    for folder in recorded_sessions() {
        let raw = std::fs::read(folder.join("raw.bin")).unwrap();
        for name in ["transcript.log", "transcript-legacy.log"] {
            let Ok(file) = std::fs::read(folder.join(name)) else { continue };
            for piece in [file.len(), 4096, 1] {
                let said = transcript(&file, piece);
                assert!(said.output == raw, "{} {name}, pieces of {piece}", folder.display());
                assert_eq!(said.deviations, [], "{} {name}", folder.display());
                let id = folder.file_name().unwrap().to_str().unwrap();
                assert_eq!(said.ids(), [id], "{name}");
                assert_eq!(said.sessions[0].plugin.as_deref(), Some("Standard_Stream"));
                assert!(said.sessions[0].target.as_ref().unwrap().starts_with("i-"));
                assert!(said.sessions[0].ended.is_some());
                for (&byte, &at) in said.output.iter().zip(&said.offsets) {
                    assert_eq!(byte, file[usize::try_from(at).unwrap()], "{} {name}: offset {at}", folder.display());
                }
            }
        }
    }
}

#[test]
fn every_form_of_header_and_footer() {
    let rhel7 = "Script started on Mon 10 Oct 2011 10:26:11 AM CDT\n";
    let rhel7_footer = "\nScript done on Mon 10 Oct 2011 10:26:14 AM CDT\n";
    let bsd = "Script started on Mon Oct 10 10:26:11 2022\nCommand: cat /opt/aws/ssm/data/mi-0123/session/orchestration/bob-0123456789abcdef0/Standard_Stream/ipcTempFile.log\n";
    let bsd_footer = "\nCommand exit status: 0\nScript done on Mon Oct 10 10:26:14 2022\n";
    let noninteractive = MODERN.replace("Standard_Stream", "NonInteractiveCommands");
    let limit = "\nScript done on 2026-11-22 13:08:33+00:00 [<max output size exceeded>]\n";
    let body = "$ id\r\r\nuid=0\r\r\n";
    let table = [
        // name, header, footer, target, plugin, platform
        ("util-linux 2.35", MODERN, FOOTER, Some("i-47431b43881c0689d"), Some("Standard_Stream"), Platform::Linux),
        ("util-linux 2.30", OLD, OLD_FOOTER, None, None, Platform::Linux),
        ("locale's date", rhel7, rhel7_footer, None, None, Platform::Linux),
        ("BSD", bsd, bsd_footer, Some("mi-0123"), Some("Standard_Stream"), Platform::Macos),
        (
            "one command",
            &noninteractive,
            FOOTER,
            Some("i-47431b43881c0689d"),
            Some("NonInteractiveCommands"),
            Platform::Linux,
        ),
        ("size limit of script", MODERN, limit, Some("i-47431b43881c0689d"), Some("Standard_Stream"), Platform::Linux),
    ];
    for (name, header, footer, target, plugin, platform) in table {
        let file = [header, body, footer].concat();
        for piece in [1, 7, file.len()] {
            let said = transcript(file.as_bytes(), piece);
            assert_eq!(said.text(), "$ id\r\nuid=0\r\n", "{name}");
            assert_eq!(said.deviations, [], "{name}");
            let session = said.sessions.first().cloned().unwrap_or_default();
            assert_eq!((session.target.as_deref(), session.plugin.as_deref()), (target, plugin), "{name}");
            assert_eq!(session.platform, platform, "{name}");
        }
    }
}

#[test]
fn what_is_no_header_or_footer_stays_output() {
    let forged_header = "Script started on 2026-11-22 13:08:33+00:00 [COMMAND=\"cat /x/i-1/session/orchestration/eve-00000000000000000/Standard_Stream/ipcTempFile.log\"]\r\r\n";
    let forged_footer = "\r\nScript done on 2026-11-22 13:08:33+00:00 [COMMAND_EXIT_CODE=\"0\"]\r\r\n";
    let table = [
        ("header in the body", format!("{MODERN}$ cat x\r\r\n{forged_header}$ exit{FOOTER}"), 1),
        ("footer in the body", format!("{MODERN}$ cat x\r\r\n{forged_footer}$ exit{FOOTER}"), 1),
        ("footer last in the body", format!("{MODERN}$ cat x\r\r\n{forged_footer}{FOOTER}"), 1),
        ("two footers", format!("{MODERN}$ cat x\r\r\n\r{FOOTER}{FOOTER}"), 1),
        ("no header, a forged one first", format!("{forged_header}$ id\r\r\n"), 0),
    ];
    for (name, file, sessions) in &table {
        let said = transcript(file.as_bytes(), 5);
        assert_eq!(said.sessions.len(), *sessions, "{name}");
        assert_eq!(said.deviations, [], "{name}");
        let start = if *sessions == 0 { 0 } else { MODERN.len() };
        let end = if *sessions == 0 { file.len() } else { file.len() - FOOTER.len() };
        assert_eq!(said.text(), file[start..end].replace("\r\n", "\n"), "{name}");
    }
}

#[test]
fn a_forged_footer_does_not_make_a_cut_transcript_whole() {
    let forged = "\r\r\nScript done on 2026-11-22 13:08:33+00:00 [COMMAND_EXIT_CODE=\"0\"]";
    for end in ["", "\r", "\r\r", "\r\r\n"] {
        let said = transcript(format!("{MODERN}$ cat x{forged}{end}").as_bytes(), 3);
        assert_eq!(said.deviations, [Truncated], "{end:?}");
        assert!(said.text().contains("Script done on"), "{end:?}");
    }
}

#[test]
fn cut_anywhere_it_says_so_and_loses_nothing() {
    let file = format!("{MODERN}$ id\r\r\nuid=0\r\r\n$ exit\r\r\n{FOOTER}");
    let magic = "Script started on ".len();
    let body_end = file.len() - FOOTER.len();
    // Bare line end, words and at least one character: without its own line end, this is a footer.
    let footer = body_end + "\nScript done on ".len();
    for cut in magic..file.len() {
        let said = transcript(&file.as_bytes()[..cut], 9);
        let expected: &[_] = if cut > footer { &[] } else { &[Truncated] };
        assert_eq!(said.deviations, expected, "cut at {cut}");
        let body = &file[MODERN.len().min(cut)..cut.min(body_end)];
        assert_eq!(said.text(), body.replace("\r\n", "\n"), "cut at {cut}");
    }
}

#[test]
fn little_or_nothing() {
    let table: [(&str, String, &str, usize); 7] = [
        ("empty", String::new(), "", 0),
        ("header only", MODERN.to_owned(), "", 1),
        ("header and footer", format!("{MODERN}{FOOTER}"), "", 0),
        ("half a header", MODERN[..40].to_owned(), "", 1),
        ("no line end before the footer", format!("{MODERN}$ exit{FOOTER}"), "$ exit", 0),
        ("carriage return before the footer", format!("{MODERN}\x1b[?2004l\r{FOOTER}"), "\x1b[?2004l\r", 0),
        ("one byte", "S".to_owned(), "S", 0),
    ];
    for (name, file, output, deviations) in &table {
        for piece in [1, 1000] {
            let said = transcript(file.as_bytes(), piece);
            assert_eq!((said.text().as_str(), said.deviations.len()), (*output, *deviations), "{name}");
        }
    }
}

#[test]
fn without_a_header_the_line_ends_tell_which_copy_it_is() {
    let table = [
        ("after script", "sh-5.2$ id\r\r\nuid=0\r\r\n\x1b[2J\r\nx\r\r\n", "sh-5.2$ id\r\nuid=0\r\n\x1b[2J\nx\r\n"),
        ("before script", "\r\r\nsh-5.2$ id\r\nuid=0\r\n", "\r\r\nsh-5.2$ id\r\nuid=0\r\n"),
        ("neither", "a\nb\n", "a\nb\n"),
        ("footer without header", "sh-5.2$ id\r\r\n\nScript done on 2020-05-27 23:01:53+0000\n", "sh-5.2$ id\r\n"),
    ];
    for (name, file, output) in table {
        let said = transcript(file.as_bytes(), 4);
        assert_eq!((said.text().as_str(), said.deviations.len(), said.sessions.len()), (output, 0, 0), "{name}");
    }
}

#[test]
fn old_agents_typed_lines_are_not_the_sessions() {
    let path = "/var/lib/amazon/ssm/i-0c76bc102a2c8324b/session/orchestration/dana.temp-0073b0a9869ded8de/Standard_Stream/ipcTempFile.log";
    let chatter = "Error occurred fetching the seelog config file path:  open /etc/amazon/ssm/seelog.xml: no such file or directory\r\nInitializing new seelog logger\r\nNew Seelog Logger Creation Complete\r\n";
    let straight = format!("sh-4.2# /usr/bin/ssm-session-logger {path} false\r\n{chatter}");
    let mut wrapped = format!("sh-4.2# /usr/bin/ssm-session-logger {path} false");
    wrapped.insert_str(160, " \r");
    wrapped.insert_str(80, " \r");
    let session = "sh-4.2$ ls /\r\r\nbin\r\r\nsh-4.2$ exit\r\r\nexit\r\r\n";
    let unended = "sh-4.2$ sh-4.2# exit";
    let table = [
        ("straight", straight.clone(), session, "sh-4.2# exit\r\n"),
        ("answered", straight.clone(), session, "sh-4.2# exit\r\nexit\r\n"),
        ("wrapped", format!("{wrapped}\r\n{chatter}"), session, "sh-4.2# exit\r\nexit\r\n"),
        ("quiet", format!("sh-4.2# /usr/bin/ssm-session-logger {path} false\r\n"), session, "sh-4.2# exit\r\n"),
        ("dash", straight.replace("sh-4.2# ", "# "), session, "# exit\r\n"),
        ("session without a last line end", straight.clone(), unended, "sh-4.2# exit\r\n"),
        ("killed", straight, session, ""),
    ];
    for (name, head, session, tail) in &table {
        let file = [OLD, head, session, tail, OLD_FOOTER].concat();
        for piece in [1, file.len()] {
            let said = transcript(file.as_bytes(), piece);
            assert_eq!(said.text(), session.replace("\r\n", "\n"), "{name}");
            assert_eq!(said.ids(), ["dana.temp-0073b0a9869ded8de"], "{name}");
            assert_eq!(said.deviations, [], "{name}");
        }
    }
    let imitated = format!("{OLD}sh-4.2# /usr/bin/ssm-session-logger {path} false\r\r\nsh-4.2# id\r\r\n{OLD_FOOTER}");
    assert!(transcript(imitated.as_bytes(), 8).text().contains("ssm-session-logger"), "typed by the user");
}

const FRAME: &str = "**********************\r\nWindows PowerShell transcript start\r\nStart time: 20240527230048\r\nUsername: EC2AMAZ-1\\ssm-user\r\nRunAs User: EC2AMAZ-1\\ssm-user\r\nConfiguration Name: \r\nMachine: EC2AMAZ-1 (Microsoft Windows NT 10.0.17763.0)\r\nHost Application: powershell.exe\r\nProcess ID: 4112\r\nPSVersion: 5.1.17763.1\r\nSerializationVersion: 1.1.0.1\r\n**********************\r\nTranscript started, output file is C:\\ProgramData\\x.log\r\n";
const FRAME_END: &str = "**********************\r\nWindows PowerShell transcript end\r\nEnd time: 20240527230148\r\n**********************\r\n";

#[test]
fn windows_transcripts() {
    let own = "PS C:\\Windows\\system32> & 'C:\\Program Files\\Amazon\\SSM\\ssm-session-logger.exe' C:\\ProgramData\\Amazon\\SSM\\InstanceData\\i-0a1\\session\\orchestration\\erin-0123456789abcdef0\\Standard_Stream\\ipcTempFile.log true\r\n";
    let body =
        "PS C:\\> whoami\r\nec2amaz-1\\ssm-user\r\n**********************\r\nnot a frame: value\r\nPS C:\\> exit\r\n";
    let system = FRAME.replace("EC2AMAZ-1\\ssm-user", "WORKGROUP\\SYSTEM");
    let lines: Vec<&str> = body.split_terminator("\r\n").collect();
    let table = [
        ("plain", [FRAME, body, FRAME_END].concat(), Some("EC2AMAZ-1\\ssm-user"), None),
        (
            "the agent's hidden shell",
            [&system, own, body, "PS C:\\Windows\\system32> exit\r\n", FRAME_END].concat(),
            None,
            Some("i-0a1"),
        ),
    ];
    for (name, text, run_as, target) in &table {
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = [0xfeff].iter().chain(&utf16).flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = [0xfeff].iter().chain(&utf16).flat_map(|unit| unit.to_be_bytes()).collect();
        let marked = ["\u{feff}", text].concat().into_bytes();
        for (encoding, file) in
            [("UTF-8", text.clone().into_bytes()), ("UTF-8 with mark", marked), ("UTF-16LE", little), ("UTF-16BE", big)]
        {
            for piece in [1, 5, file.len()] {
                let said = transcript(&file, piece);
                assert_eq!(said.lines, lines, "{name} {encoding} {piece}");
                assert_eq!(said.deviations, [], "{name} {encoding}");
                assert_eq!(said.sessions.len(), 1, "{name} {encoding}");
                let session = &said.sessions[0];
                assert_eq!(
                    (session.run_as.as_deref(), session.target.as_deref()),
                    (*run_as, *target),
                    "{name} {encoding}"
                );
                assert_eq!(session.platform, Platform::Windows);
                let offset = said.line_offsets[0].clone();
                let first = &file[usize::try_from(offset.start).unwrap()..usize::try_from(offset.end).unwrap()];
                assert!(String::from_utf8_lossy(first).replace('\0', "").contains("whoami"), "{name} {encoding}");
            }
        }
    }
    assert_eq!(transcript([FRAME, body].concat().as_bytes(), 11).deviations, [Truncated]);
}

#[test]
fn old_windows_hosts_store_cleaned_lines() {
    let file = "Windows PowerShell\r\nCopyright (C) 2013 Microsoft Corporation.\r\n\r\nPS C:\\Windows\\system32> hostname\r\nWIN-1\r\n";
    let said = transcript(file.as_bytes(), 6);
    assert_eq!(said.lines, file.split_terminator("\r\n").collect::<Vec<_>>());
    assert_eq!(said.sessions[0].platform, Platform::Windows);
    assert_eq!(said.deviations, []);
}

#[test]
fn one_long_line_passes_through() {
    let mut reader = warden_session::transcript::TranscriptReader::new();
    let mut length = 0_u64;
    let piece = vec![b'a'; 1 << 20];
    reader.feed(MODERN.as_bytes(), &mut |_| ());
    for _ in 0..100 {
        reader.feed(&piece, &mut |event| length += event.offset.end - event.offset.start);
    }
    reader.finish(&mut |event| length += event.offset.end - event.offset.start);
    assert_eq!(length, 100 << 20);
    let long = format!("{FRAME}{}\r\n{FRAME_END}", "x".repeat(200_000));
    let said = transcript(long.as_bytes(), 1000);
    assert_eq!(said.lines.concat().len(), 200_000);
    assert!(said.deviations.contains(&LimitReached("line")));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        start in prop::sample::select(vec![MODERN, OLD, "", FRAME, "\u{feff}", "sh-4.2# /usr/bin/ssm-session-logger /x false\r\n"]),
        parts in prop::collection::vec(prop::sample::select(vec!["$ id", "\r\r\n", "\r\n", "\n", "\r", "\x1b[2K", "é", "**********************\r\n", "PS C:\\> ls", "Script done on x", FOOTER, FRAME_END]), 0..40),
        end in prop::sample::select(vec![FOOTER, OLD_FOOTER, FRAME_END, "", "\nScript do"]),
        piece in 1_usize..64,
    ) {
        let file = [start, &parts.concat(), end].concat();
        prop_assert_eq!(transcript(file.as_bytes(), file.len()), transcript(file.as_bytes(), piece));
    }

    #[test]
    fn any_bytes_give_an_answer(file in prop::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..64) {
        prop_assert_eq!(transcript(&file, file.len()), transcript(&file, piece));
    }
}
