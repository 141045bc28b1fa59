//! Tells those who talk who has come and who has gone. At once, while that is little; when very many come and go it is gathered,
//! and told in rounds, each link all of it in one piece. Decides nothing about who may know.

use std::collections::{BTreeSet, VecDeque};

use crate::proto::gcra::Gcra;
use crate::proto::ids::{LinkId, Name};
use crate::proto::limits::{
    COMINGS_LINE_PERIOD, COMINGS_LINES_BURST, COMINGS_LINKS_MAX, COMINGS_MAX, COMINGS_PAUSE,
};
use crate::proto::machine::{Effect, Os};
use crate::proto::server::{Server, Stage, Timer};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{Chat as Line, Message};

/// Lines of all rounds.
const LINES: Gcra = Gcra::new(COMINGS_LINES_BURST, COMINGS_LINE_PERIOD);

/// Who has come and gone, as far as not everybody was told.
#[derive(Debug, Default)]
pub(in crate::proto::server) struct Comings {
    /// For the next rounds.
    gathered: VecDeque<Coming>,
    round: Option<Round>,
    /// How many came and went so far.
    pub(super) count: u64,
    /// When all lines of the rounds so far will have had their time.
    paid_until: Mono,
}

/// Somebody comes or goes.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) name: Name,
    /// The link of who comes.
    pub(super) link: Option<LinkId>,
    /// Links of those who are there and are not to know.
    pub(super) untold: Vec<LinkId>,
}

/// What is being told, link by link.
#[derive(Debug)]
struct Round {
    /// How many came and went before.
    before: u64,
    lines: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// Which line is not for whom.
    untold: BTreeSet<(LinkId, usize)>,
    /// The place of the next link in the driver's table.
    next: u32,
}

impl Server {
    /// Somebody comes, or goes.
    pub(super) fn tell_coming(&mut self, coming: Coming, now: Now, os: &mut dyn Os) {
        self.comings.count += 1;
        let came = self.comings.count;
        if let Some(talker) = coming.link.and_then(|link| self.talker_mut(link)) {
            talker.came = came;
        }
        self.comings.gathered.push_back(coming);
        if self.wheel.deadline(&Timer::Comings).is_none() {
            self.tell_when_due(now, os);
        }
    }

    pub(in crate::proto::server) fn on_comings_timer(&mut self, now: Now, os: &mut dyn Os) {
        match self.comings.round.take() {
            Some(round) => self.go_on_telling(round, now, os),
            None => self.tell_when_due(now, os),
        }
    }

    /// Begins a round, or waits until it is time for one.
    fn tell_when_due(&mut self, now: Now, os: &mut dyn Os) {
        let Comings { gathered, count, paid_until, .. } = &mut self.comings;
        // A round may have more lines than a burst: it goes, and the next one waits.
        let due = LINES.due(*paid_until, 0, now.mono);
        if due > now.mono {
            self.wheel.insert(Timer::Comings, due);
            return;
        }
        LINES.charge(paid_until, self.chat.online() as u64, now.mono);
        let before = *count - gathered.len() as u64;
        let told = gathered.drain(..gathered.len().min(COMINGS_MAX));
        let round = Round::new(before, told);
        self.go_on_telling(round, now, os);
    }

    /// Tells the next links. A server that stops says goodbye to all at once.
    fn go_on_telling(&mut self, mut round: Round, now: Now, os: &mut dyn Os) {
        let talkers =
            self.sessions.iter_from(round.next).filter(|(_, session)| session.talker.name.is_some());
        let mut talkers = talkers.take_while(|_| self.stage == Stage::Serving);
        for (link, session) in talkers.by_ref().take(COMINGS_LINKS_MAX) {
            round.tell(link, session.talker.came, &mut self.scratch, os);
            round.next = link.index + 1;
        }
        let is_over = talkers.next().is_none();
        if !is_over {
            self.comings.round = Some(round);
        }
        if !is_over || !self.comings.gathered.is_empty() {
            self.wheel.insert(Timer::Comings, now.mono + COMINGS_PAUSE);
        }
    }
}

impl Round {
    fn new(before: u64, comings: impl Iterator<Item = Coming>) -> Round {
        let (mut lines, mut starts, mut untold) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (place, Coming { name, link, untold: links }) in comings.enumerate() {
            starts.push(lines.len());
            Message::Chat(if link.is_some() { Line::Online { name } } else { Line::Offline { name } })
                .encode(&mut lines);
            untold.extend(links.into_iter().map(|link| (link, place)));
        }
        Round { before, lines, starts, untold, next: 0 }
    }

    /// Tells one link of those behind its own coming.
    fn tell(&self, link: LinkId, came: u64, scratch: &mut Vec<u8>, os: &mut dyn Os) {
        let first = came.saturating_sub(self.before) as usize;
        let Some(start) = self.starts.get(first) else { return };
        let mut untold =
            self.untold.range((link, first)..=(link, usize::MAX)).map(|(_, place)| *place).peekable();
        if untold.peek().is_none() {
            return os.perform(Effect::Send { link, bytes: &self.lines[*start..] });
        }
        scratch.clear();
        for place in first..self.starts.len() {
            let end = self.starts.get(place + 1).copied().unwrap_or(self.lines.len());
            if untold.next_if_eq(&place).is_none() {
                scratch.extend_from_slice(&self.lines[self.starts[place]..end]);
            }
        }
        if !scratch.is_empty() {
            os.perform(Effect::Send { link, bytes: scratch });
        }
    }
}
