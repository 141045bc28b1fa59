//! Who else is there, and who was. A list goes out in one piece, and is no longer than a link's queue takes.

use crate::proto::chat::Refusal as Why;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{LINE_BYTES_MAX, LISTED_MAX, LISTED_PER_COMMAND};
use crate::proto::machine::{Effect, Os};
use crate::proto::server::Server;
use crate::proto::server::chat::told;
use crate::proto::server::directory::Refusal;
use crate::proto::time::Now;
use crate::proto::wire::{Chat as Line, Message};

impl Server {
    pub(super) fn on_whoelse(
        &mut self,
        link: LinkId,
        after: Option<Name>,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        self.charge(link, 0)?;
        let names = self.chat.whoelse(&name, after).map_err(told)?.map(|(name, _)| name);
        let (count, more) = list(&mut self.scratch, names);
        self.end_list(link, count, Line::OkWhoElse { count, more }, os);
        Ok(())
    }

    pub(super) fn on_whoelsesince(
        &mut self,
        link: LinkId,
        seconds: u64,
        after: Option<Name>,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let name = self.talker_of(link)?;
        self.charge(link, 0)?;
        let after = match after {
            Some(after) => Some(self.chat.seen(&after).ok_or_else(|| told(Why::Unknown))?),
            None => None,
        };
        let seen = self.chat.whoelsesince(&name, seconds, now.mono, after).map_err(told)?;
        let (count, more) = list(&mut self.scratch, seen.map(|seen| seen.name));
        self.end_list(link, count, Line::OkWhoElseSince { count, more }, os);
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

/// The lines of a list, how many they are, and whether there are more.
fn list(out: &mut Vec<u8>, mut names: impl Iterator<Item = Name>) -> (u64, bool) {
    out.clear();
    let mut count = 0;
    for name in names.by_ref().take(LISTED_MAX) {
        count += 1;
        out.extend_from_slice(b"* ");
        Message::Chat(Line::User { name }).encode(out);
    }
    (count, names.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_cut_says_so() {
        let names = |count: usize| (0..count).map(|number| format!("n{number}").parse::<Name>().unwrap());
        let mut out = Vec::new();
        let max = LISTED_MAX as u64;
        for (count, expected) in [(0, (0, false)), (LISTED_MAX, (max, false)), (LISTED_MAX + 1, (max, true))]
        {
            assert_eq!(list(&mut out, names(count)), expected);
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count() as u64, expected.0);
        }
    }
}
