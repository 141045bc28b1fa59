//! How the server stands, in figures with names, for whoever runs it: over a link of its own host (`status`), or in the
//! log. Names are `group.key`. Counts nothing itself.

use crate::proto::chat;
use crate::proto::ids::LinkId;
use crate::proto::limits::STATUS_COMMANDS;
use crate::proto::machine::{DriverFigures, Effect, OPERATOR, Os, Tell};
use crate::proto::server::Server;
use crate::proto::server::chat::Until;
use crate::proto::server::directory::{Refusal, refuse};
use crate::proto::server::session::Session;
use crate::proto::server::status::Limit;
use crate::proto::time::{Now, SECOND_NS};
use crate::proto::wire::{Chat as Line, ErrorCode, Message};

/// Figures that grow with what the server has to do: how fast they grow is of interest.
pub const RATED: [&str; 8] = [
    "server.ticks",
    "server.tocks",
    "messenger.sent",
    "messenger.kept",
    "messenger.broadcasts",
    "driver.bytes_in",
    "driver.bytes_out",
    "driver.turns",
];

/// Who has asked how things stand, and what was said the last time.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    askers: Vec<Asker>,
    /// Of the last report: when, and the values of [`RATED`].
    last: (u64, [u64; RATED.len()]),
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Log,
    Link(LinkId),
}

impl Server {
    /// `status`: only on the server's own host, for it tells who is there and how busy they are.
    pub(super) fn on_status(&mut self, link: LinkId, os: &mut dyn Os) -> Result<(), Refusal> {
        if !self.sessions.get(link).is_some_and(Session::is_near) {
            return refuse(ErrorCode::NotAllowed, "status is told on the server's own host only");
        }
        self.charge(link, 0)?;
        self.note_work(link, STATUS_COMMANDS);
        self.hold(link, Until::Measured);
        self.inquire(Asker::Link(link), os);
        Ok(())
    }

    /// The operator wants it in the log; who asks again before it is there gets one.
    pub(super) fn on_report_wanted(&mut self, os: &mut dyn Os) {
        if !self.inquiries.askers.contains(&Asker::Log) {
            self.inquire(Asker::Log, os);
        }
    }

    /// One answer is for all who ask before it comes.
    fn inquire(&mut self, asker: Asker, os: &mut dyn Os) {
        if self.inquiries.askers.is_empty() {
            os.perform(Effect::Measure);
        }
        self.inquiries.askers.push(asker);
    }

    pub(super) fn on_measured(
        &mut self,
        driver: &DriverFigures,
        others: &[(String, u64)],
        now: Now,
        os: &mut dyn Os,
    ) {
        for asker in std::mem::take(&mut self.inquiries.askers) {
            match asker {
                Asker::Log => self.report(driver, others),
                Asker::Link(link) => {
                    self.send_status(link, driver, others, os);
                    self.go_on(link, now, os);
                }
            }
        }
    }

    fn send_status(
        &mut self,
        link: LinkId,
        driver: &DriverFigures,
        others: &[(String, u64)],
        os: &mut dyn Os,
    ) {
        if self.sessions.get(link).is_none() {
            return;
        }
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let mut count = 0;
        self.tell_all_figures(driver, others, &mut |name, value| {
            count += 1;
            out.extend_from_slice(b"* ");
            Message::Chat(Line::Status { name, value }).encode(&mut out);
        });
        Message::Chat(Line::OkStatus { count }).encode(&mut out);
        os.perform(Effect::Send { link, bytes: &out });
        self.note_answer(link, out.len());
        self.scratch = out;
    }

    /// One line for each group, of what is not 0; then how fast things went since the last report.
    fn report(&mut self, driver: &DriverFigures, others: &[(String, u64)]) {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut rated = [0; RATED.len()];
        self.tell_all_figures(driver, others, &mut |name, value| {
            if let Some(place) = RATED.iter().position(|rated| *rated == name) {
                rated[place] = value;
            }
            let (group, key) = name.split_once('.').unwrap_or(("other", name));
            if lines.last().is_none_or(|(of, _)| of != group) {
                lines.push((group.to_owned(), String::new()));
            }
            if value != 0
                && let Some((_, figures)) = lines.last_mut()
            {
                *figures += &format!(" {key}={value}");
            }
        });
        lines
            .iter()
            .for_each(|(group, figures)| log::info!(target: OPERATOR, "status group={group}{figures}"));
        let (last_ns, last) = std::mem::replace(&mut self.inquiries.last, (driver.uptime_ns, rated));
        let past_ns = driver.uptime_ns.saturating_sub(last_ns);
        let rates: String = std::iter::zip(RATED, std::iter::zip(last, rated))
            .map(|(name, (before, after))| {
                let key = name.split_once('.').map_or(name, |(_, key)| key);
                format!(" {key}_per_s={}", per_second(after.saturating_sub(before), past_ns))
            })
            .collect();
        log::info!(target: OPERATOR, "status group=rates over_ns={past_ns}{rates}");
    }

    fn tell_all_figures(&self, driver: &DriverFigures, others: &[(String, u64)], tell: Tell<'_>) {
        driver.tell(tell);
        self.tell_figures(tell);
        others.iter().for_each(|(name, value)| tell(name, *value));
    }

    /// What this server has come to.
    fn tell_figures(&self, tell: Tell<'_>) {
        let status = &self.status;
        let [mut links, mut members, mut talking, mut sharing] = [0; 4];
        for (_, session) in self.sessions.iter() {
            links += 1;
            match session {
                Session { seat: Some(_), .. } => members += 1,
                session if session.talker.name.is_some() => talking += 1,
                session => sharing += u64::from(session.talk.guest.is_some()),
            }
        }
        for (name, value) in [
            ("server.links", links),
            ("server.links_members", members),
            ("server.links_talking", talking),
            ("server.links_sharing", sharing),
            ("server.links_unknown", links - members - talking - sharing),
            ("server.members", self.directory.members().count() as u64),
            ("server.runs", u64::from(self.run.is_some())),
            ("server.tables_closing", self.ending.len() as u64),
            ("server.members_joined", status.members_joined),
            ("server.ticks", status.ticks),
            ("server.tocks", status.tocks),
            ("server.blocked", status.blocked),
            ("server.coalesced", status.coalesced),
            ("server.tables_failed", status.tables_failed),
            ("server.guests_greeted", status.guests_greeted),
            ("server.files_registered", status.files_registered),
            ("server.files_refused", status.files_refused),
            ("server.downloads", status.downloads),
            ("server.chunks_reported", status.chunks_reported),
            ("server.links_too_fast", status.links_too_fast),
            ("server.logins_failed", status.logins_failed),
            ("server.reloads", status.reloads),
            ("server.reloads_failed", status.reloads_failed),
            ("server.errors", status.errors),
            ("store.waiting", self.awaited.len() as u64),
            ("store.failures", status.store_failures),
        ] {
            tell(name, value);
        }
        for (limit, name) in Limit::ALL {
            tell(&format!("limit.{name}"), status.hits(limit));
        }
        for code in ErrorCode::ALL {
            tell(&format!("refused.{}", code.as_str()), status.errors_of(*code));
        }
        let said = self.messages();
        for (name, value) in [
            ("messenger.accounts", self.chat.accounts() as u64),
            ("messenger.online", self.chat.online() as u64),
            ("messenger.logins", said.logins),
            ("messenger.sent", said.sent),
            ("messenger.kept", said.kept),
            ("messenger.returned", said.returned),
            ("messenger.fetched", said.fetched),
            ("messenger.skipped", said.skipped),
            ("messenger.broadcasts", said.broadcasts),
            ("messenger.slowed", said.slowed),
        ] {
            tell(name, value);
        }
        for refusal in chat::Refusal::ALL {
            tell(&format!("messenger.refused_{refusal:?}"), said.refused(refusal));
        }
    }
}

/// How many there were each second, rounded.
pub fn per_second(count: u64, past_ns: u64) -> u64 {
    let rounded =
        (u128::from(count) * u128::from(SECOND_NS) + u128::from(past_ns) / 2) / u128::from(past_ns.max(1));
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proto::server::{ServerConfig, TalkConfig};

    fn server() -> Server {
        Server::new(ServerConfig {
            listen: Vec::new(),
            interval: Duration::from_millis(10),
            duration: Duration::from_secs(1),
            secret: [7; 32],
            talk: TalkConfig::default(),
        })
    }

    /// How often the driver was asked.
    struct Measures(u32);

    impl Os for Measures {
        fn perform(&mut self, effect: Effect<'_>) {
            assert!(matches!(effect, Effect::Measure), "{effect:?}");
            self.0 += 1;
        }
    }

    #[test]
    fn who_wants_a_report_again_before_it_is_there_gets_one() {
        let (mut server, mut os) = (server(), Measures(0));
        (0..3).for_each(|_| server.on_report_wanted(&mut os));
        assert_eq!((server.inquiries.askers.as_slice(), os.0), (&[Asker::Log][..], 1));
    }

    #[test]
    fn links_that_were_too_fast_are_told() {
        let mut server = server();
        server.status.links_too_fast = 3;
        let mut told = None;
        server.tell_figures(&mut |name, value| {
            if name == "server.links_too_fast" {
                told = Some(value);
            }
        });
        assert_eq!(told, Some(3));
    }

    #[test]
    fn rates_are_rounded_and_need_no_time() {
        for (count, past_ns, expected) in [
            (0, 0, 0),
            (100, SECOND_NS, 100),
            (1, 3 * SECOND_NS, 0),
            (2, 3 * SECOND_NS, 1),
            (5, SECOND_NS / 2, 10),
        ] {
            assert_eq!(per_second(count, past_ns), expected);
        }
    }
}
