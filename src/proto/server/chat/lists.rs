//! Who else is there, and who was. A list goes out in one piece, and is no longer than a link's queue takes.

use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::LISTED_MAX;
use crate::proto::machine::{Effect, Os};
use crate::proto::server::Server;
use crate::proto::server::chat::told;
use crate::proto::server::directory::Refusal;
use crate::proto::time::Now;
use crate::proto::wire::{Chat as Line, Message};

/// The work of looking at somebody for a list, in bytes of answer.
const LOOK_BYTES: usize = 16;

impl Server {
    pub(super) fn on_whoelse(&mut self, link: LinkId, os: &mut dyn Os) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        self.charge(link, 0)?;
        let mut list = List::begin(&mut self.scratch);
        self.chat.whoelse(&name, None).map_err(told)?.for_each(|(name, _)| list.add(name));
        let count = list.count;
        self.end_list(link, count, Line::OkWhoElse { count }, os);
        Ok(())
    }

    pub(super) fn on_whoelsesince(
        &mut self,
        link: LinkId,
        seconds: u64,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        self.charge(link, 0)?;
        let mut list = List::begin(&mut self.scratch);
        let seen = self.chat.whoelsesince(&name, seconds, now.mono, None).map_err(told)?;
        seen.for_each(|seen| list.add(seen.name));
        let count = list.count;
        self.end_list(link, count, Line::OkWhoElseSince { count }, os);
        Ok(())
    }

    fn end_list(&mut self, link: LinkId, count: u64, answer: Line<'_>, os: &mut dyn Os) {
        Message::Chat(answer).encode(&mut self.scratch);
        os.perform(Effect::Send { link, bytes: &self.scratch });
        self.note_answer(link, self.scratch.len() + count as usize * LOOK_BYTES);
        // Nobody else has such long answers.
        self.scratch.shrink_to(4096);
    }
}

/// The lines of a list. All are counted; not all of very many are named.
struct List<'a> {
    out: &'a mut Vec<u8>,
    count: u64,
}

impl List<'_> {
    fn begin(out: &mut Vec<u8>) -> List<'_> {
        out.clear();
        List { out, count: 0 }
    }

    fn add(&mut self, name: Name) {
        self.count += 1;
        if self.count <= LISTED_MAX as u64 {
            self.out.extend_from_slice(b"* ");
            Message::Chat(Line::User { name }).encode(self.out);
        }
    }
}
