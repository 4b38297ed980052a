//! A line on the screen and the keys that entered it, as one.

use super::Entered;
use super::agreement::{Agreement, agreement, choose};
use crate::command::extract::find::Found;
use crate::command::extract::{Extractor, Line, Sink};
use crate::command::typed::TypedLine;
use crate::command::{Confidence, Mark, Origin};

/// What the keys say about a line on the screen.
#[derive(Debug)]
enum Taken {
    /// It was entered.
    Entered(TypedLine, Agreement),
    /// Something else was entered, and not echoed; what stands here is output.
    Silent(Entered),
    /// Keys are missing.
    Unknown,
    /// A key entered it that is not Enter: one that a program or the shell was told to turn into a line.
    ByKey,
    /// Nobody entered it.
    Nobody,
}

impl Extractor {
    /// Takes what stands behind a prompt as a command if somebody entered it.
    pub(in crate::command::extract) fn accept_typed(
        &mut self,
        text: &str,
        prompt: &str,
        line: &Line,
        found: &Found,
        sink: &mut Sink<'_>,
    ) {
        match self.take(text, line.edited_by_editor) {
            Taken::Entered(typed, agreement) => {
                let doubtful = std::mem::take(&mut self.keys.doubtful);
                let (line, found, text) = join(line, found, text, &typed, agreement, doubtful);
                self.begin_or_continue(&text, prompt, &line, &found, sink);
            }
            Taken::Unknown => {
                self.keys.taken = None;
                self.begin_or_continue(text, prompt, line, found, sink);
            }
            Taken::ByKey => {
                self.keys.taken = None;
                let mut line = line.clone();
                line.marks.push(Mark::Mismatch);
                let found = Found { origin: Origin::Keys, confidence: Confidence::Low, ..*found };
                self.begin_or_continue(text, prompt, &line, &found, sink);
            }
            Taken::Silent(entered) => {
                let prompt = entered.prompt.map_or_else(|| prompt.to_owned(), |(prompt, _)| prompt);
                self.begin_silent(&entered.line, &prompt, sink);
                self.rows_since += u64::from(!text.trim().is_empty());
            }
            Taken::Nobody => {
                self.keys.outstanding = Some(prompt.to_owned());
                self.rows_since += 1;
            }
        }
    }

    /// Texts that stand behind a request for the rest of a command: only those that somebody entered.
    pub(in crate::command::extract) fn entered_texts(&mut self, texts: &[&str]) -> Vec<String> {
        let mut entered = Vec::new();
        for text in texts {
            match self.take(text, true) {
                Taken::Entered(typed, agreement) => {
                    entered.push(choose(text, &typed, agreement, self.keys.doubtful).to_owned());
                }
                Taken::Unknown | Taken::ByKey => entered.push((*text).to_owned()),
                Taken::Silent(silent) => entered.push(silent.line.text),
                Taken::Nobody => {}
            }
        }
        entered
    }

    /// Who entered this, the earliest line that fits; lines before it went to a program.
    fn take(&mut self, text: &str, in_editor: bool) -> Taken {
        let keys = &mut self.keys;
        let blank = text.trim().is_empty();
        let is = |wanted: &[Agreement]| {
            let fits = |entered: &Entered| {
                let agreement = agreement(&entered.line, text);
                wanted.contains(&agreement) && (!entered.in_program || agreement == Agreement::Same)
            };
            keys.pending.iter().position(fits)
        };
        let same = is(&[Agreement::Same]);
        let near = is(&[Agreement::Begun, Agreement::Close]).or_else(|| is(&[Agreement::Open])).filter(|_| !blank);
        let another = |entered: &Entered| match agreement(&entered.line, text) {
            Agreement::Different => true,
            Agreement::Close => !keys.doubtful,
            Agreement::Same | Agreement::Begun | Agreement::Open => blank || entered.line.is_masked(),
        };
        let silent = |entered: &Entered| entered.is_silent(!keys.reads_input) && another(entered);
        let silent = keys.pending.iter().position(silent);
        let silent = silent.filter(|silent| same.is_none() && near.is_none_or(|near| near >= *silent));
        let any = keys.pending.iter().rposition(|entered| !entered.in_program).filter(|_| in_editor && !blank);
        let Some(found) = silent.or(same).or(near).or(any) else {
            return match blank {
                false if keys.lost => Taken::Unknown,
                false if keys.typist.is_replaced_by(text) => Taken::ByKey,
                _ => Taken::Nobody,
            };
        };
        keys.outstanding = None;
        self.pass(found);
        let Some(entered) = self.keys.pending.pop_front() else { return Taken::Nobody };
        if silent.is_some() {
            return Taken::Silent(entered);
        }
        self.keys.taken = Some(entered.clone());
        let agreement = agreement(&entered.line, text);
        self.keys.lost &= agreement != Agreement::Same;
        self.keys.doubtful &= entered.at_prompt;
        Taken::Entered(entered.line, agreement)
    }

    /// What was taken last was no command yet: Enter is still to come.
    pub(in crate::command::extract) fn give_back(&mut self) {
        if let Some(entered) = self.keys.taken.take() {
            self.keys.pending.push_front(entered);
        }
    }

    /// Who entered a row without a prompt, at a prompt whose own row is gone.
    pub(in crate::command::extract) fn take_bare(&mut self, text: &str) -> Option<(String, TypedLine)> {
        let keys = &mut self.keys;
        let fits = |front: &Entered| front.line.exact && agreement(&front.line, text) == Agreement::Same;
        if text.trim().is_empty() || !keys.pending.front().is_some_and(fits) {
            return None;
        }
        let prompt = keys.outstanding.take()?;
        keys.pending.pop_front().map(|entered| (prompt, entered.line))
    }

    /// Takes such a row as a command.
    pub(in crate::command::extract) fn accept_bare(
        &mut self,
        line: &Line,
        prompt: &str,
        typed: &TypedLine,
        sink: &mut Sink<'_>,
    ) {
        let shown = line.lines.last().map_or("", String::as_str);
        let (line, found, text) =
            join(line, &Found::shell(0, 0, Confidence::Medium), shown, typed, Agreement::Same, false);
        self.begin_or_continue(&text, prompt, &line, &found, sink);
    }
}

/// A line on the screen and the keys that entered it, as one.
fn join(
    line: &Line,
    found: &Found,
    text: &str,
    typed: &TypedLine,
    agreement: Agreement,
    doubtful: bool,
) -> (Line, Found, String) {
    let mut line = Line { at: typed.at.or(line.at), ..line.clone() };
    let confidence = match agreement {
        Agreement::Same | Agreement::Begun | Agreement::Open => found.confidence,
        Agreement::Close => found.confidence.min(Confidence::Medium),
        Agreement::Different => Confidence::Low,
    };
    let confidence = if agreement == Agreement::Same && typed.exact { Confidence::High } else { confidence };
    if matches!(agreement, Agreement::Close | Agreement::Different) {
        line.marks.push(Mark::Mismatch);
    }
    if typed.edited || !typed.exact {
        line.marks.push(Mark::Edited);
    }
    let origin = if found.origin == Origin::Screen { Origin::Keys } else { found.origin };
    let text = choose(text, typed, agreement, doubtful).to_owned();
    (line, Found { origin, confidence, ..*found }, text)
}
