//! Findings with every text in them masked.

use super::Masker;
use crate::finding::{Finding, Matched};

impl Masker {
    /// Masks a finding in place: the command's text, prompt and argument vectors, the values that matched (a span that
    /// falls into a mask covers it), the decoded forms, and what an API call's caller chose freely.
    pub fn finding(&self, finding: &mut Finding) {
        let mut secrets = finding.command.as_ref().map_or_else(|| self.secrets(), |command| self.secrets_of(command));
        // A matched value is the text or a joined argument vector: what it shows by itself counts as well.
        for matched in &finding.matched {
            secrets.learn(&matched.value);
        }
        finding.command = finding.command.as_ref().map(|command| secrets.command(command));
        for matched in &mut finding.matched {
            let masked = secrets.mask(&matched.value);
            let span = matched.span.map(|(start, end)| masked.map(start..end)).map(|range| (range.start, range.end));
            *matched = Matched { field: std::mem::take(&mut matched.field), value: masked.text, span };
        }
        for decoded in &mut finding.decoded {
            *decoded = secrets.mask(decoded).text;
        }
        if let Some(call) = &mut finding.api_call {
            call.user_agent = call.user_agent.as_ref().map(|agent| secrets.mask(agent).text);
        }
    }
}
