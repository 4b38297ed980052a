//! The form for chat channels: a custom notification of Amazon Q Developer in chat applications (formerly AWS Chatbot).
//!
//! Shape: Amazon Q Developer in chat applications administrator guide, "Custom notifications", version 1.0.

use serde_json::{Value, json};
use warden_session::timestamp::to_rfc3339;

use super::Alert;
use super::inert::{self, CHAT_LIMIT, NAME_LIMIT};

/// Most characters of the notification's title.
const TITLE_LIMIT: usize = 250;
/// Most characters of its summary and of a thread's name.
const SUMMARY_LIMIT: usize = 200;

impl Alert {
    /// The chat form. Alerts of one session share a thread.
    pub fn chat_json(&self) -> String {
        let title = inert::chat(&format!("[{}] {}", self.level.as_str().to_uppercase(), self.title), TITLE_LIMIT);
        let thread = self.session.id.as_ref().map_or(self.alert_id.as_str(), warden_session::SessionId::as_str);
        let value = json!({
            "version": "1.0",
            "source": "custom",
            "id": self.alert_id,
            "content": {
                "textType": "client-markdown",
                "title": title,
                "description": self.chat_description(),
                "nextSteps": self.next_steps(),
                "keywords": [self.level.as_str(), self.kind.as_str(), self.source_kind()],
            },
            "metadata": {
                "threadId": inert::chat(thread, SUMMARY_LIMIT),
                "summary": inert::chat(&self.who_where().unwrap_or_else(|| self.title.clone()), SUMMARY_LIMIT),
                "eventType": self.kind.as_str(),
                "enableCustomActions": false,
            },
        });
        without_nulls(value).to_string()
    }

    fn chat_description(&self) -> String {
        let session = &self.session;
        let mut rows: Vec<String> = self.notes.iter().map(|note| inert::chat(note, NAME_LIMIT)).collect();
        let mut row = |label: &str, text: Option<&str>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                rows.push(format!("*{label}* {}", inert::code(text, NAME_LIMIT * 2)));
            }
        };
        if let Some(finding) = &self.finding {
            row("What", finding.command.as_ref().map(|command| command.text.as_str()));
            row("Call", finding.api_call.as_ref().map(|call| call.event_name.as_str()));
        }
        row("Who", session.principal.as_deref());
        row("Where", session.target.as_deref());
        row("Account", session.account.as_deref());
        row("Region", session.region.as_deref());
        row("Session", session.id.as_ref().map(warden_session::SessionId::as_str));
        row("Reason", session.reason.as_deref());
        row("From", self.source_ip.as_deref());
        row("Response", self.response.as_deref());
        for finding in self.others.iter().take(10) {
            row("Also", Some(&self.what_and_whose(finding)));
        }
        if self.others.len() > 10 {
            rows.push(format!("and {} more", self.others.len() - 10));
        }
        rows.push(format!("Noticed {}", to_rfc3339(self.at)));
        let text = rows.join("\n");
        let end = text.char_indices().nth(CHAT_LIMIT).map_or(text.len(), |(at, _)| at);
        text.get(..end).unwrap_or_default().to_owned()
    }

    fn next_steps(&self) -> Vec<String> {
        // The command line is inert by itself: breaking it would make it useless.
        let look = self.look().map(|look| format!("Look: `{look}`"));
        let runbook = self.runbook.as_deref().map(|runbook| format!("Runbook: {}", inert::code(runbook, NAME_LIMIT)));
        look.into_iter().chain(runbook).collect()
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}
