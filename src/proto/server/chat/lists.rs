//! Who else is there, and who was. A list goes out in one piece, and is no longer than a link's queue takes.

use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{LINE_BYTES_MAX, LISTED_MAX, LISTED_PER_COMMAND};
use crate::proto::machine::{Effect, Os};
use crate::proto::server::Server;
use crate::proto::server::chat::told;
use crate::proto::server::directory::Refusal;
use crate::proto::time::Now;
use crate::proto::wire::{Chat as Line, Message};

impl Server {
    pub(super) fn on_whoelse(&mut self, link: LinkId, os: &mut dyn Os) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        self.charge(link, 0)?;
        let names = self.chat.whoelse(&name, None).map_err(told)?.map(|(name, _)| name);
        let count = list(&mut self.scratch, names);
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
        let seen = self.chat.whoelsesince(&name, seconds, now.mono, None).map_err(told)?;
        let count = list(&mut self.scratch, seen.map(|seen| seen.name));
        self.end_list(link, count, Line::OkWhoElseSince { count }, os);
        Ok(())
    }

    fn end_list(&mut self, link: LinkId, count: u64, answer: Line<'_>, os: &mut dyn Os) {
        Message::Chat(answer).encode(&mut self.scratch);
        os.perform(Effect::Send { link, bytes: &self.scratch });
        self.note_answer(link, self.scratch.len());
        self.note_work(link, count / LISTED_PER_COMMAND);
        // Nobody else has such long answers.
        self.scratch.shrink_to(LINE_BYTES_MAX);
    }
}

/// The lines of a list, and how many they are.
fn list(out: &mut Vec<u8>, names: impl Iterator<Item = Name>) -> u64 {
    out.clear();
    let mut count = 0;
    for name in names.take(LISTED_MAX) {
        count += 1;
        out.extend_from_slice(b"* ");
        Message::Chat(Line::User { name }).encode(out);
    }
    count
}
