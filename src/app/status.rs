//! `tickmesh status`: asks a server twice how it stands, a moment apart, so that it can say how fast things go. Takes any
//! figures that a server has, and knows few of them by name.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value, json};

use crate::app::cli::StatusOptions;
use crate::app::summary::{bytes, micros};
use crate::app::{drive, logging, terminal};
use crate::io::{Host, Reactor};
use crate::proto::ids::{DialId, LinkId};
use crate::proto::limits::{DIAL_TIMEOUT, FIGURES_MAX, STATUS_SPAN, STATUS_TIMEOUT};
use crate::proto::machine::{CloseReason, Effect, Input, Machine, Os, Why};
use crate::proto::server::{RATED, per_second};
use crate::proto::text::Shown;
use crate::proto::time::{Mono, Now, Period, SECOND_NS};
use crate::proto::wire::{Chat, LineReader, Message, Piece, Role};

/// Figures by name, in the order in which the server says them.
type Figures = Vec<(String, u64)>;

/// Prints how a server stands; true if it has answered.
pub(super) fn run(options: &StatusOptions) -> Result<bool> {
    logging::start(&options.log)?;
    let mut asking = Asking::new(options.server);
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut asking, root: ".".into() }])?;
    let (server, software) = (options.server, &asking.software);
    let Asking { before: Some(before), after: Some(after), .. } = &asking else {
        let why = asking.trouble.as_deref().unwrap_or("interrupted");
        return Err(anyhow!("no status of {server}: {why}"));
    };
    let version = software.strip_prefix("tickmesh/").unwrap_or(software);
    let shown = if options.json {
        format!("{}\n", as_json(server, version, before, after))
    } else {
        as_text(server, version, before, after)
    };
    terminal::print(&shown)?;
    Ok(true)
}

/// Whoever asks.
struct Asking {
    server: SocketAddr,
    link: Option<LinkId>,
    reader: LineReader,
    software: String,
    /// What comes in of the answer that is awaited.
    coming: Figures,
    before: Option<Figures>,
    after: Option<Figures>,
    deadline: Option<Mono>,
    /// Between the two looks.
    is_pausing: bool,
    trouble: Option<String>,
    has_ended: bool,
}

impl Asking {
    fn new(server: SocketAddr) -> Asking {
        Asking {
            server,
            link: None,
            reader: LineReader::default(),
            software: String::new(),
            coming: Figures::new(),
            before: None,
            after: None,
            deadline: None,
            is_pausing: false,
            trouble: None,
            has_ended: false,
        }
    }

    fn end(&mut self, trouble: Option<String>, os: &mut dyn Os) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.trouble = trouble;
        self.deadline = None;
        if let Some(link) = self.link {
            os.perform(Effect::Close { link, reason: CloseReason::Done });
        }
        os.perform(Effect::Exit);
    }

    fn ask(&mut self, now: Now, os: &mut dyn Os) {
        let Some(link) = self.link else { return };
        let mut line = Vec::new();
        Message::Chat(Chat::AskStatus).encode(&mut line);
        os.perform(Effect::Send { link, bytes: &line });
        self.deadline = Some(now.mono + STATUS_TIMEOUT);
    }

    fn on_received(&mut self, bytes: &[u8], now: Now, os: &mut dyn Os) {
        let mut reader = std::mem::take(&mut self.reader);
        let mut input = bytes;
        while let Some(piece) = reader.next(&mut input) {
            let message = match &piece {
                Piece::Line(line) => Message::parse(line).ok(),
                Piece::Octets { .. } | Piece::TooLong => None,
            };
            self.on_line(message.as_ref(), now, os);
            if self.has_ended {
                return;
            }
        }
        self.reader = reader;
    }

    fn on_line(&mut self, message: Option<&Message<'_>>, now: Now, os: &mut dyn Os) {
        match message {
            Some(Message::Greeting { role: Role::Server, software, .. }) if self.software.is_empty() => {
                self.software = Shown(software).to_string();
            }
            Some(Message::Greeting { .. }) => self.end(Some("that is a peer, not a server".to_owned()), os),
            Some(Message::Err { text, .. }) => self.end(Some(Shown(text).to_string()), os),
            Some(Message::Bye { why }) => self.end(Some(format!("the server said: {}", Shown(why))), os),
            _ if self.software.is_empty() => {
                self.end(Some("whoever listens there is no tickmesh server".to_owned()), os);
            }
            Some(Message::Chat(Chat::Status { name, value })) if self.coming.len() < FIGURES_MAX => {
                self.coming.push((Shown(name).to_string(), *value));
            }
            Some(Message::Chat(Chat::OkStatus { .. })) => self.on_answer(now, os),
            // What a later version may say besides.
            _ => {}
        }
    }

    fn on_answer(&mut self, now: Now, os: &mut dyn Os) {
        let figures = Some(std::mem::take(&mut self.coming));
        if self.before.is_none() {
            self.before = figures;
            (self.is_pausing, self.deadline) = (true, Some(now.mono + STATUS_SPAN));
        } else {
            self.after = figures;
            self.end(None, os);
        }
    }
}

impl Machine for Asking {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        if self.has_ended {
            return;
        }
        match input {
            Input::Start => {
                os.perform(Effect::Dial { dial: DialId(0), addr: self.server });
                // The driver has its own bound for the dial.
                self.deadline = Some(now.mono + DIAL_TIMEOUT + STATUS_TIMEOUT);
            }
            Input::LinkUp { link, .. } => {
                self.link = Some(link);
                self.ask(now, os);
            }
            Input::DialFailed { error, .. } => {
                self.end(Some(format!("nobody answers there: {}", Why(error))), os);
            }
            Input::Received { bytes, .. } => self.on_received(bytes, now, os),
            Input::LinkDown { reason, .. } => {
                self.link = None;
                self.end(Some(reason.to_string()), os);
            }
            Input::Shutdown => self.end(None, os),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        self.deadline = None;
        if self.is_pausing {
            self.is_pausing = false;
            self.ask(now, os);
        } else {
            let patience = Period(STATUS_TIMEOUT);
            self.end(
                Some(format!("the connection is taken, but nobody answers for {patience}; is it stuck?")),
                os,
            );
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.deadline
    }
}

fn value(figures: &Figures, name: &str) -> u64 {
    figures.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
}

/// What comes in a second, by the clock of the server.
fn rates<'a>(before: &'a Figures, after: &'a Figures) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    let past_ns = past_ns(before, after);
    RATED
        .into_iter()
        .map(move |name| (name, per_second(value(after, name).saturating_sub(value(before, name)), past_ns)))
}

fn past_ns(before: &Figures, after: &Figures) -> u64 {
    value(after, "driver.uptime_ns").saturating_sub(value(before, "driver.uptime_ns"))
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or(("other", name))
}

/// One object: a group of figures each, and `rates`.
fn as_json(server: SocketAddr, version: &str, before: &Figures, after: &Figures) -> Value {
    let mut groups = Map::new();
    groups.insert("at".to_owned(), json!(server.to_string()));
    groups.insert("version".to_owned(), json!(version));
    let mut put = |group: &str, key: String, value: u64| {
        let group = groups.entry(group).or_insert_with(|| json!({}));
        if let Some(group) = group.as_object_mut() {
            group.insert(key, json!(value));
        }
    };
    for (name, value) in after {
        let (group, key) = split(name);
        put(group, key.to_owned(), *value);
    }
    put("rates", "over_ns".to_owned(), past_ns(before, after));
    for (name, rate) in rates(before, after) {
        put("rates", format!("{}_per_s", split(name).1), rate);
    }
    Value::Object(groups)
}

/// For people: what matters first, then everything that is not 0.
fn as_text(server: SocketAddr, version: &str, before: &Figures, after: &Figures) -> String {
    let of = |name: &str| value(after, name);
    let uptime = Period(std::time::Duration::from_secs(of("driver.uptime_ns") / SECOND_NS));
    let mut text = format!("tickmesh {version} at {server} is up for {uptime}\n");
    let [ticks, tocks, sent, kept, broadcasts, bytes_in, bytes_out, turns] =
        rates(before, after).map(|(_, rate)| rate).collect::<Vec<_>>().try_into().unwrap_or_default();
    let _ = writeln!(
        text,
        "each second: {ticks} ticks, {tocks} answers, {} messages, {broadcasts} broadcasts",
        sent.saturating_add(kept)
    );
    let _ = writeln!(text, "             {} in, {} out, {turns} turns", bytes(bytes_in), bytes(bytes_out));
    for (what, name) in [("a turn takes", "turn"), ("deadlines are late by", "late")] {
        let [p50, p99, max] =
            ["p50", "p99", "max"].map(|part| micros(of(&format!("driver.{name}_ns_{part}"))));
        let _ = writeln!(text, "{what} {p50} / {p99} / {max} (p50, p99, max)");
    }
    let mut last = "";
    for (name, value) in after.iter().filter(|(_, value)| *value > 0) {
        let (group, key) = split(name);
        if group != last {
            let _ = writeln!(text, "{group}");
            last = group;
        }
        let _ = writeln!(text, "  {key:<32} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(uptime_ns: u64, ticks: u64) -> Figures {
        let figures =
            [("driver.uptime_ns", uptime_ns), ("server.ticks", ticks), ("server.blocked", 0), ("odd", 7)];
        figures.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn rates_are_those_of_the_time_between_the_looks() {
        let (before, after) = (figures(SECOND_NS, 100), figures(3 * SECOND_NS, 500));
        let server = "127.0.0.1:5555".parse().unwrap();
        let shown = as_json(server, "1.0", &before, &after);
        assert_eq!(shown["rates"]["ticks_per_s"], 200);
        assert_eq!(shown["rates"]["over_ns"], 2 * SECOND_NS);
        assert_eq!((&shown["server"]["blocked"], &shown["other"]["odd"]), (&json!(0), &json!(7)));
        let text = as_text(server, "1.0", &before, &after);
        assert!(
            text.starts_with("tickmesh 1.0 at 127.0.0.1:5555 is up for 3s\neach second: 200 ticks, "),
            "{text}"
        );
        assert!(text.contains("\nserver\n  ticks "), "{text}");
        assert!(!text.contains("blocked"), "{text}");
    }

    #[test]
    fn figures_of_any_size_are_shown() {
        let all = |value: u64| RATED.map(|name| (name.to_owned(), value)).into();
        let (none, most): (Figures, Figures) = (all(0), all(u64::MAX));
        let text = as_text("127.0.0.1:5555".parse().unwrap(), "1.0", &none, &most);
        assert!(text.contains(&format!("{} messages", u64::MAX)), "{text}");
    }
}
