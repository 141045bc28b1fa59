//! What waits to be shown, and what of it was shown: a message is acknowledged when it was, and shown once.

use std::collections::VecDeque;

use crate::proto::ids::LinkId;
use crate::proto::limits::{NEWS_MAX, SALT_BYTES};
use crate::proto::peer::News;
use crate::proto::peer::talk::Seen;

/// What there is to show. Numbers are those of messages.
#[derive(Debug)]
pub(super) struct Showing {
    /// With the link that is told when it was shown.
    news: VecDeque<(News, Option<LinkId>)>,
    /// What was taken last: its number, if it has one, and that link.
    taken: Option<(u64, Option<LinkId>)>,
    /// From an earlier life; of use once the account's salt is known.
    seen: Option<Seen>,
    salt: Option<[u8; SALT_BYTES]>,
    /// The last that was put into the news, or was shown by an earlier life.
    told: u64,
    /// The last that was shown.
    shown: u64,
    /// The last that this link to the server has brought, and that was acknowledged over it.
    given: u64,
    acked: u64,
    /// Links over which something private came that has been shown.
    to_confirm: VecDeque<LinkId>,
    is_full: bool,
}

impl Showing {
    pub(super) fn new(seen: Option<Seen>) -> Showing {
        Showing {
            news: VecDeque::new(),
            taken: None,
            seen,
            salt: None,
            told: 0,
            shown: 0,
            given: 0,
            acked: 0,
            to_confirm: VecDeque::new(),
            is_full: false,
        }
    }

    /// `confirm`: who is told once it was shown.
    pub(super) fn push(&mut self, news: News, confirm: Option<LinkId>) {
        // The end and the answers are as few as the commands, and nothing goes on without them.
        let is_owed = matches!(news, News::Answer { .. } | News::Ended { .. });
        if !is_owed && self.news.len() >= NEWS_MAX {
            self.is_full |= !matches!(news, News::ServerLost { .. } | News::LoggedIn { .. });
            return;
        }
        self.news.push_back((news, confirm));
    }

    /// Something did not find room: it is lost, if it was no message from a user.
    pub(super) fn overflow(&mut self) -> bool {
        std::mem::take(&mut self.is_full)
    }

    /// A new link to the server; users have a salt.
    pub(super) fn begin(&mut self, salt: Option<[u8; SALT_BYTES]>) {
        (self.given, self.acked) = (0, 0);
        if self.salt != salt {
            let number = self.seen.filter(|seen| Some(seen.salt) == salt).map_or(0, |seen| seen.number);
            (self.salt, self.told, self.shown) = (salt, number, number);
            self.taken.iter_mut().for_each(|(number, _)| *number = 0);
        }
    }

    /// A message from a user has come; whether it is to be shown.
    pub(super) fn on_number(&mut self, number: u64) -> Option<Seen> {
        self.given = self.given.max(number);
        if number <= self.told || self.news.len() >= NEWS_MAX {
            self.is_full |= number > self.told;
            return None;
        }
        self.told = number;
        Some(Seen { salt: self.salt?, number })
    }

    /// The oldest. It counts as shown when this is called again.
    pub(super) fn take(&mut self) -> Option<News> {
        if let Some((number, confirm)) = self.taken.take() {
            self.shown = self.shown.max(number);
            self.to_confirm.extend(confirm);
        }
        let (news, confirm) = self.news.pop_front()?;
        let number = if let News::Message { number, .. } = news { number } else { 0 };
        self.taken = Some((number, confirm));
        Some(news)
    }

    /// The number to acknowledge now, if there is one.
    pub(super) fn ack(&mut self) -> Option<u64> {
        let number = self.shown.min(self.given);
        (number > self.acked).then(|| {
            self.acked = number;
            number
        })
    }

    /// A link over which something private came that was shown now.
    pub(super) fn confirm(&mut self) -> Option<LinkId> {
        self.to_confirm.pop_front()
    }

    /// Something is to be said once the news are taken, or because they were.
    pub(super) fn is_owing(&self) -> bool {
        self.given > self.acked
            || self.news.iter().any(|(_, link)| link.is_some())
            || matches!(self.taken, Some((_, Some(_))))
            || !self.to_confirm.is_empty()
    }

    /// Private texts of a link that were not shown yet.
    pub(super) fn unshown(&self, link: LinkId) -> usize {
        self.news.iter().filter(|(_, confirm)| *confirm == Some(link)).count()
    }
}
