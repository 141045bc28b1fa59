//! Of two of whom one has blocked the other, neither hears anything of the other's files. A block is about names that
//! were proven, or are of guests who talk: who shares files under another name, or measures under the
//! same one, is somebody else.

use std::collections::BTreeSet;

use crate::proto::ids::Name;
use crate::proto::server::Server;
use crate::proto::server::catalog::Who;
use crate::proto::wire::GROUP_DEFAULT;

impl Server {
    /// Whether one of the two has blocked the other.
    pub(in crate::proto::server) fn are_apart(&self, one: &Who, other: &Who) -> bool {
        let names = self.talks_as(one).zip(self.talks_as(other));
        names.is_some_and(|(one, other)| {
            self.chat.has_blocked(&one, &other) || self.chat.has_blocked(&other, &one)
        })
    }

    /// Those who take part in a file and are to hear nothing of one of them, nor the other way round.
    pub(in crate::proto::server) fn apart_from(&self, who: &Who, file: &str) -> BTreeSet<Name> {
        // Most have nothing to do with any block, and many may take part.
        if !self.talks_as(who).is_some_and(|name| self.chat.is_in_blocks(&name)) {
            return BTreeSet::new();
        }
        let others = self.catalog.who_takes_part(&who.group, file).copied();
        others.filter(|id| self.are_apart(who, &Who { id: *id, ..*who })).collect()
    }

    /// A block was taken back: of what the two were not told, they hear when they ask again.
    pub(super) fn are_together(&mut self, user: Name, other: Name) {
        let group = GROUP_DEFAULT.parse().expect("a name");
        for id in [user, other] {
            self.catalog.introduce_anew(&Who { group, id });
        }
    }

    /// The name under which somebody talks who shares files.
    pub(super) fn talks_as(&self, who: &Who) -> Option<Name> {
        let contact = self.guests.contact(who)?;
        self.sessions.get(contact.link)?.talker.name
    }
}
