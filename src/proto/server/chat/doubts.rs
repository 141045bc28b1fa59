//! Accounts that have another password: each may be another one by now, made after the old one was removed. So what is
//! known of it is looked up, and forgotten as far as the store does not have it any more. Decides nothing else.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use crate::proto::ids::Name;
use crate::proto::machine::{Effect, Load, Os, Row};
use crate::proto::server::Server;

/// What was known of an account when it was looked up, without what was found since.
#[derive(Debug)]
pub(in crate::proto::server) struct Doubt {
    blocks: BTreeSet<(Name, Name)>,
    /// By group and name.
    files: BTreeSet<(Name, Box<str>)>,
}

impl Server {
    /// An account has another password. If something is known of it that may be the old one's, the store is asked.
    pub(super) fn doubt(&mut self, name: Name, os: &mut dyn Os) {
        let blocks: BTreeSet<_> = self.chat.lasting_blocks(&name).into_iter().collect();
        let files = self.registry.held_by(&name);
        if !blocks.is_empty() || !files.is_empty() {
            self.doubts.insert(name, Doubt { blocks, files });
            os.perform(Effect::Load { load: Load::Ties { name } });
        }
    }

    /// The store has this, so it is known rightly.
    pub(super) fn dispel(&mut self, row: &Row<'_>) {
        match row {
            Row::Block { user, other } => {
                for name in [user, other] {
                    if let Some(doubt) = self.doubts.get_mut(name) {
                        doubt.blocks.remove(&(*user, *other));
                    }
                }
            }
            Row::Holding { file, user } => {
                if let Some(doubt) = self.doubts.get_mut(user) {
                    doubt.files.remove(&(file.group, file.name.as_ref().into()));
                }
            }
            Row::Account { .. } | Row::Login(_) | Row::Mail(_) => {}
        }
    }

    /// The store has told all that it has of an account; what it has not was another one's. If it could not, nothing is
    /// forgotten.
    pub(super) fn end_doubt(&mut self, name: Name, result: Result<(), ErrorKind>) {
        let Some(Doubt { blocks, files }) = self.doubts.remove(&name).filter(|_| result.is_ok()) else {
            return;
        };
        if !blocks.is_empty() || !files.is_empty() {
            let (blocks, files) = (blocks.len(), files.len());
            log::info!(
                "account is another one name={name} blocks_forgotten={blocks} files_forgotten={files}"
            );
        }
        for (user, other) in blocks {
            // Somebody may have taken it back meanwhile.
            if self.chat.has_blocked(&user, &other) && self.chat.unblock(&user, &other).is_ok() {
                self.are_together(user, other);
            }
        }
        for (group, file) in files {
            self.registry.remove(&group, &file, &name);
        }
    }
}
