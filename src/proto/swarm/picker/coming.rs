//! What sources bring, or do not: whose bytes are written when a chunk comes twice, and what becomes
//! of a request that has ended.
//!
//! Only one of two sources that bring the same chunk is written to the disk, or a liar could spoil what
//! an honest one has brought: the one that was asked last, since it was asked because the other was
//! too slow. What the other brings is thrown away ([`Picker::is_written`]).

use crate::proto::swarm::Lie;
use crate::proto::swarm::picker::{Again, Arrival, Picker, Request, SourceId};
use crate::proto::time::Mono;

impl Picker {
    /// A source announces a chunk.
    ///
    /// # Errors
    /// If it was not asked for it.
    pub fn begin(&mut self, source: SourceId, chunk: u64) -> Result<Arrival, Lie> {
        let from = self.sources.get(&source).ok_or(Lie::NotAsked(chunk))?;
        if !from.asked.contains(&chunk) {
            let late = from.cancelled.contains(chunk);
            return if late { Ok(Arrival::ThrowAway) } else { Err(Lie::NotAsked(chunk)) };
        }
        let requests = self.requests.get_mut(&chunk).expect("a source was asked for it");
        let own = requests.iter().position(|request| request.source == source).expect("by that source");
        // They are in the order in which they were made.
        if requests[own + 1..].iter().any(|later| later.written) {
            return Ok(Arrival::ThrowAway);
        }
        requests.iter_mut().enumerate().for_each(|(at, request)| request.written = at == own);
        Ok(Arrival::Write)
    }

    /// Some bytes came from a source, of this file or of another: it is not silent. One that has to send
    /// much to many may take long for each file.
    pub fn on_octets(&mut self, source: SourceId, now: Mono) {
        let Some(from) = self.sources.get_mut(&source) else { return };
        from.heard = now;
        if std::mem::take(&mut from.silent) {
            for chunk in from.asked.clone() {
                self.settle(chunk);
            }
        }
    }

    /// Whether the bytes of a chunk that a source is bringing are to be written. Ask before each write.
    pub fn is_written(&self, source: SourceId, chunk: u64) -> bool {
        let mut requests = self.requests.get(&chunk).into_iter().flatten();
        requests.any(|request| request.source == source && request.written)
    }

    /// A chunk came, and is right. Returns the other sources that were asked for it: it need not
    /// come from them any more, but may.
    ///
    /// # Panics
    /// If its bytes were not written: see [`Picker::is_written`].
    pub fn on_stored(&mut self, source: SourceId, chunk: u64, now: Mono) -> Vec<SourceId> {
        assert!(self.is_written(source, chunk), "only what was written is stored");
        let requests = self.requests.remove(&chunk).expect("a source was asked for it");
        let mut others = Vec::new();
        for request in requests {
            let asked = self.sources.get_mut(&request.source).expect("requests go with their source");
            asked.asked.retain(|asked| *asked != chunk);
            if request.source == source {
                let taken_ns = now.since_ns(request.asked_at);
                self.typical_ns = Some(smoothed(self.typical_ns, taken_ns));
                asked.pace_ns = Some(smoothed(asked.pace_ns, taken_ns / request.in_line));
            } else {
                asked.cancelled.insert(chunk);
                others.push(request.source);
            }
        }
        self.stored.insert(chunk);
        self.rarity.set_needed(chunk, false);
        others
    }

    /// A chunk failed its hash; that source is not asked for it again. How often a source may lie is
    /// for the caller to say.
    pub fn on_wrong(&mut self, source: SourceId, chunk: u64) {
        if self.end_request(source, chunk, Some(Again::Wrong)) {
            self.lose_chunk(source, chunk);
            self.sources.get_mut(&source).expect("it was asked").barred.push(chunk);
        }
    }

    /// A source does not hold a chunk any more, or cannot serve it. False if it was not asked for it.
    pub fn on_denied(&mut self, source: SourceId, chunk: u64) -> bool {
        let was_asked = self.end_request(source, chunk, Some(Again::Denied));
        if was_asked {
            self.lose_chunk(source, chunk);
        }
        was_asked
    }

    /// A chunk that was not written to its end is all there.
    pub fn on_thrown_away(&mut self, source: SourceId, chunk: u64) {
        if self.end_request(source, chunk, None) {
            self.accounts.thrown_away += 1;
        }
    }

    /// A source has answered a request, or the request was cancelled; false if there was none.
    fn end_request(&mut self, source: SourceId, chunk: u64, again: Option<Again>) -> bool {
        let Some(from) = self.sources.get_mut(&source) else { return false };
        let Some(at) = from.asked.iter().position(|asked| *asked == chunk) else {
            return from.cancelled.contains(chunk) && from.cancelled.remove(chunk);
        };
        from.asked.swap_remove(at);
        self.drop_request(source, chunk, again);
        true
    }

    pub(super) fn drop_request(&mut self, source: SourceId, chunk: u64, again: Option<Again>) {
        if let Some(requests) = self.requests.get_mut(&chunk) {
            requests.retain(|request| request.source != source);
        }
        self.again[chunk as usize] = again.or(self.again[chunk as usize]);
        self.settle(chunk);
    }

    /// After a change: a chunk that nobody is expected to bring is needed again.
    pub(super) fn settle(&mut self, chunk: u64) {
        let requests = self.requests.entry(chunk).or_default();
        if requests.iter().all(|request| request.lapsed) {
            // A source that is not silent any more is taken at its first word.
            let awake = |request: &&mut Request| !self.sources[&request.source].silent;
            requests.iter_mut().find(awake).into_iter().for_each(|request| request.lapsed = false);
        }
        let is_expected = requests.iter().any(|request| !request.lapsed);
        if requests.is_empty() {
            self.requests.remove(&chunk);
        }
        let is_needed = !is_expected && !self.stored.contains(chunk);
        self.rarity.set_needed(chunk, is_needed);
    }

    fn lose_chunk(&mut self, source: SourceId, chunk: u64) {
        let Some(holder) = self.sources.get_mut(&source) else { return };
        if holder.held.remove(chunk) && !holder.origin {
            self.rarity.lose(chunk);
        }
    }
}

fn smoothed(so_far_ns: Option<u64>, taken_ns: u64) -> u64 {
    let so_far_ns = so_far_ns.unwrap_or(taken_ns);
    so_far_ns - so_far_ns / 8 + taken_ns / 8
}
