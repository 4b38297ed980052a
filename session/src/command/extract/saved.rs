//! What an extractor knows between two deliveries of a stream.

use super::Extractor;
use crate::command::Command;
use crate::command::history::{History, refers_back};

impl Extractor {
    /// Reads the text of the command on its way again, which is not saved.
    pub(crate) fn restore(&mut self) {
        if let Some(draft) = &mut self.draft {
            draft.restore(self.platform);
        }
    }

    /// The command on its way, if nothing that follows should change it.
    pub(crate) fn settled(&self) -> Option<Command> {
        let draft = self.draft.as_ref()?;
        let open = draft.wants.is_some() || draft.rang || refers_back(&draft.text);
        (!open).then(|| draft.clone().into_command(self.n, self.platform))
    }

    pub(crate) fn forget_suspects(&mut self) {
        self.suspects.clear();
    }

    pub(crate) fn forget_history(&mut self) {
        self.history = History::default();
    }

    pub(crate) fn forget_unresolved(&mut self) {
        self.unresolved.clear();
        self.opener = None;
    }
}
