//! Which chunk a source is asked for next, and when an origin is left alone. Makes requests, and does not
//! know what becomes of them.

use crate::proto::limits::{ASKERS_MAX, CHUNK_PATIENCE, END_GAME_AGE_MIN, HELP_AGE_MAX};
use crate::proto::swarm::picker::order::Slice;
use crate::proto::swarm::picker::{Again, Picker, Request, Source, SourceId};
use crate::proto::time::{Mono, SECOND_NS, ns};

impl Picker {
    /// The next chunk to ask a source for, which now counts as asked for. `None` if nothing should be
    /// asked of it now: it holds nothing of use, so many requests are in flight, it has gone silent, or
    /// it is an origin that others need more.
    pub fn ask(&mut self, source: SourceId, in_flight_max: usize, now: Mono) -> Option<u64> {
        let asked = self.sources.get(&source)?;
        if asked.silent || asked.asked.len() >= in_flight_max {
            return None;
        }
        let draw = self.random.next();
        let chunk = if asked.origin {
            self.pick_of_origin(asked, in_flight_max, draw, now)
        } else {
            self.rarity.rarest(&asked.held, draw % self.stored.chunks().max(1))
        };
        let chunk = match chunk {
            Some(chunk) => {
                self.rarity.set_needed(chunk, false);
                match self.again[chunk as usize] {
                    Some(again) => self.accounts.count(again),
                    // Whatever ends this request says otherwise.
                    None => self.again[chunk as usize] = Some(Again::Broken),
                }
                chunk
            }
            None => {
                let chunk = self.end_game(source, now)?;
                self.accounts.count(Again::EndGame);
                chunk
            }
        };
        self.accounts.asked += 1;
        let asked = self.sources.get_mut(&source)?;
        let in_line = asked.asked.len() as u64 + 1;
        let request = Request { source, asked_at: now, in_line, lapsed: false, written: false };
        self.requests.entry(chunk).or_default().push(request);
        if asked.asked.is_empty() {
            asked.heard = now;
        }
        asked.asked.push(chunk);
        Some(chunk)
    }

    /// What to ask an origin for, in this order: the own slice, from the front; if receivers do not bring
    /// enough, what is left in the slices of others, and then what receivers hold as well.
    fn pick_of_origin(&self, origin: &Source, in_flight_max: usize, draw: u64, now: Mono) -> Option<u64> {
        let (fresh, chunks) = (self.rarity.fresh(), self.stored.chunks());
        let own = self.slice.range(chunks);
        let first = if own.end - own.start == chunks { self.start } else { own.start };
        let own = fresh
            .first_common(&origin.held, first..own.end)
            .or_else(|| fresh.first_common(&origin.held, own.start..first));
        if own.is_some() || self.receivers_do(origin) {
            return own;
        }
        let is_fresh = |chunk: &&u64| self.rarity.is_fresh(**chunk);
        let share = self.slice.share(in_flight_max);
        if origin.asked.iter().filter(is_fresh).count() < share
            && let Some(chunk) = self.help(origin, in_flight_max as u64, draw, now)
        {
            return Some(chunk);
        }
        self.rarity.rarest(&origin.held, draw % chunks.max(1))
    }

    /// Something of another's slice that its receiver will not come to soon: what comes next of it was asked
    /// for already. When receivers bring nothing new any more, that too.
    fn help(&self, origin: &Source, in_flight_max: u64, draw: u64, now: Mono) -> Option<u64> {
        let (fresh, chunks) = (self.rarity.fresh(), self.stored.chunks());
        let left = |slice: &Slice| fresh.count_common(&origin.held, slice.range(chunks));
        let mut helped = self.slice.others(draw).map(|slice| (slice, left(&slice)));
        let spare = helped.find(|(_, left)| *left > in_flight_max);
        if let Some((slice, left)) = spare {
            let skipped = in_flight_max + draw % (left - in_flight_max);
            return fresh.nth_common(&origin.held, slice.range(chunks), skipped);
        }
        let left = fresh.count_common(&origin.held, 0..chunks);
        (left > 0 && now.since_ns(self.news_at) >= self.age_min_ns().min(ns(HELP_AGE_MAX)))
            .then(|| fresh.nth_common(&origin.held, 0..chunks, draw % left))?
    }

    /// How old a request is, at least, before it is doubtful whether it will be answered soon.
    fn age_min_ns(&self) -> u64 {
        let typical_ns = self.typical_ns.unwrap_or(ns(CHUNK_PATIENCE));
        typical_ns.saturating_mul(2).max(ns(END_GAME_AGE_MIN))
    }

    /// Whether receivers hold something that is needed, and together bring half as much as this origin does,
    /// which answers the sooner the more it is spared: it may have to feed many.
    fn receivers_do(&self, origin: &Source) -> bool {
        let wanted = origin.rate().unwrap_or(1);
        let receivers = self.sources.values().filter(|source| !source.origin && !source.silent);
        let useful = receivers.filter(|source| self.rarity.rarest(&source.held, 0).is_some());
        useful.map(|source| source.rate().unwrap_or(wanted)).sum::<u64>().saturating_mul(2) >= wanted
    }

    /// Every needed chunk is asked for: the one that another source was asked for the longest ago, if
    /// it takes much longer than usual. A second request is often in vain.
    fn end_game(&self, source: SourceId, now: Mono) -> Option<u64> {
        let origins = self.sources.values().filter(|source| source.origin);
        if self.rarity.is_waiting(origins.map(|origin| &origin.held)) {
            return None;
        }
        let held = &self.sources.get(&source)?.held;
        let late = self.requests.iter().filter(|(chunk, requests)| {
            let active = requests.iter().filter(|request| !request.lapsed).count();
            active < ASKERS_MAX
                && held.contains(**chunk)
                && requests.iter().all(|request| request.source != source)
        });
        let asked_at = |requests: &[Request]| requests.iter().map(|request| request.asked_at).max();
        let aged = late.filter_map(|(chunk, requests)| Some((asked_at(requests)?, *chunk)));
        let (asked_at, chunk) = aged.min()?;
        (now.since_ns(asked_at) >= self.age_min_ns()).then_some(chunk)
    }
}

impl Source {
    /// Chunks in a thousand seconds, if it has brought any.
    fn rate(&self) -> Option<u64> {
        self.pace_ns.map(|pace_ns| (1000 * SECOND_NS / pace_ns.max(1)).max(1))
    }
}
