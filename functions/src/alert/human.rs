//! The form for mail.

use std::fmt::Write as _;

use warden_rules::finding::Finding;
use warden_session::timestamp::to_rfc3339;

use super::inert::{self, HUMAN_LIMIT, LIST_LIMIT, NAME_LIMIT, TEXT_LIMIT};
use super::{Alert, Kind};

impl Alert {
    /// `[HIGH] title - who on where`: ASCII, at most 100 characters.
    pub fn subject(&self) -> String {
        let kind = match self.kind {
            Kind::Update => "update: ",
            Kind::FollowUp => "again: ",
            Kind::Digest => "digest: ",
            _ => "",
        };
        let level = self.level.as_str().to_ascii_uppercase();
        let whom = self.who_where().map(|whom| format!(" - {whom}")).unwrap_or_default();
        inert::subject(&format!("[{level}] {kind}{}{whom}", self.title))
    }

    /// What, who, where, when; how to look, and where the evidence lies. At most 32 KiB.
    pub fn human_text(&self) -> String {
        let mut page = Page::default();
        page.text
            .push_str(&inert::line(&format!("{}: {}", self.level.as_str().to_uppercase(), self.title), NAME_LIMIT));
        page.text.push('\n');
        for note in self.notes.iter().take(LIST_LIMIT) {
            page.row("Note", &inert::line(note, TEXT_LIMIT));
        }
        page.text.push('\n');
        if let Some(finding) = &self.finding {
            page.what(finding);
        }
        self.who_and_where(&mut page);
        self.where_to_look(&mut page);
        self.others(&mut page);
        page.fitted()
    }

    /// What another finding is about; in which session and by whom, if that is another one.
    pub(super) fn what_and_whose(&self, finding: &Finding) -> String {
        let what = what_of(finding);
        let own = self.session.id.as_ref().map(warden_session::SessionId::as_str);
        match (&finding.session, &finding.principal) {
            (Some(session), _) if own == Some(session) => what,
            (Some(session), Some(principal)) => format!("{what} (session {session} of {principal})"),
            (Some(session), None) => format!("{what} (session {session})"),
            (None, Some(principal)) => format!("{what} (by {principal})"),
            (None, None) => what,
        }
    }

    fn who_and_where(&self, page: &mut Page) {
        let session = &self.session;
        page.name(
            "Who",
            session.principal.as_deref().or(Some("not known yet")).filter(|_| self.kind != Kind::Operator),
        );
        page.name("As", session.run_as.as_deref());
        let place = [session.target.as_deref(), session.account.as_deref(), session.region.as_deref()];
        let place: Vec<&str> = place.into_iter().flatten().collect();
        page.name("Where", Some(place.join(", ").as_str()).filter(|place| !place.is_empty()));
        page.name("Session", session.id.as_ref().map(warden_session::SessionId::as_str));
        page.name("Started", session.started.map(to_rfc3339).as_deref());
        page.name("Document", session.document.as_deref());
        page.name("Reason", session.reason.as_deref());
        page.name("From", self.source_ip.as_deref());
        page.name("With", self.user_agent.as_deref());
        page.row("Noticed", &to_rfc3339(self.at));
    }

    fn where_to_look(&self, page: &mut Page) {
        page.text.push('\n');
        if let Some(finding) = &self.finding {
            let tags = finding.rule.tags.join(" ");
            page.name("Rule", Some(format!("{} {tags}", finding.rule.id).trim()));
            page.row("Source", &provenance(finding));
        }
        page.name("Owner", self.owner.as_deref());
        page.name("Runbook", self.runbook.as_deref());
        page.name("Evidence", self.evidence.as_deref());
        page.name("Version", self.evidence_version.as_deref());
        // Quoted in ASCII without anything that must not be shown: broken links would break the command.
        if let Some(look) = self.look() {
            page.row("Look", &look);
        }
        page.name("Response", self.response.as_deref());
        page.row("Alert", &self.alert_id);
        page.name("Adds to", self.update_of.as_deref());
    }

    fn others(&self, page: &mut Page) {
        if self.count > 1 {
            page.row("Seen", &format!("{} times", self.count));
        }
        if self.others.is_empty() {
            return;
        }
        let digest = self.kind == Kind::Digest;
        page.text.push_str(if digest { "\nWithheld as well:\n" } else { "\nUnder the same rule as well:\n" });
        for finding in self.others.iter().take(LIST_LIMIT) {
            page.row("-", &inert::line(&self.what_and_whose(finding), NAME_LIMIT));
        }
        if self.others.len() > LIST_LIMIT {
            page.row(
                "-",
                &format!("and {} more: see the machine form or the evidence", self.others.len() - LIST_LIMIT),
            );
        }
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn what(&mut self, finding: &Finding) {
        self.block("What", &what_of(finding));
        for decoded in finding.decoded.iter().take(4) {
            self.block("Becomes", decoded);
        }
        if let Some(command) = &finding.command {
            let marks: Vec<&str> = command.marks.iter().map(warden_session::command::Mark::as_str).collect();
            self.name("Marks", Some(marks.join(", ").as_str()).filter(|marks| !marks.is_empty()));
            self.name("Time", command.at.map(to_rfc3339).as_deref());
        }
        if let Some(call) = &finding.api_call {
            self.name("Time", call.event_time.map(to_rfc3339).as_deref());
            self.name("Result", call.error_code.as_deref());
            self.name("From", call.source_ip.as_deref());
            self.name("With", call.user_agent.as_deref());
        }
    }

    fn block(&mut self, label: &str, text: &str) {
        let mut label = label;
        for line in inert::lines(text, TEXT_LIMIT).into_iter().take(LIST_LIMIT) {
            self.row(label, &line);
            label = "";
        }
    }

    fn name(&mut self, label: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.row(label, &inert::line(text, NAME_LIMIT));
        }
    }

    fn row(&mut self, label: &str, text: &str) {
        let _ = writeln!(self.text, "{label:<9} {text}");
    }

    fn fitted(mut self) -> String {
        if self.text.len() > HUMAN_LIMIT {
            let end = (0..=HUMAN_LIMIT).rev().find(|end| self.text.is_char_boundary(*end)).unwrap_or_default();
            self.text.truncate(end);
            self.text.push_str("\n[cut here: the evidence holds the whole]\n");
        }
        self.text
    }
}

fn what_of(finding: &Finding) -> String {
    match (&finding.command, &finding.api_call) {
        (Some(command), _) => command.text.clone(),
        (None, Some(call)) => call.event_name.clone(),
        (None, None) => finding.rule.title.clone(),
    }
}

fn provenance(finding: &Finding) -> String {
    let writer = match finding.source.trust {
        "service" => "written by AWS",
        _ => "written by the host, whose root can forge it",
    };
    format!("{} ({writer})", finding.source.kind)
}
