//! Requests for chunks that wait to be served: whose turn it is, and when the next chunk may go under a
//! limit of all uploads together. Reads no file and knows nothing about who may have what.
//!
//! Links take turns, a chunk each. Without a limit nothing waits here that is not held: everything pops at once, in that
//! order, and the sockets set the pace. With one, a chunk goes out whole as soon as those before it
//! have had their time, so that the rate is right over a few chunks, not within one. What goes out shorter
//! than it is in the file has its time cut afterwards.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;

use crate::proto::ids::LinkId;
use crate::proto::limits::{GETS_QUEUED_MAX, UPLOAD_CREDIT};
use crate::proto::time::{Mono, SECOND_NS};

/// A chunk that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which file, by a number of the caller's.
    pub file: u32,
    /// Which chunk of it.
    pub chunk: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// [`GETS_QUEUED_MAX`] requests wait on that link.
    #[error("{GETS_QUEUED_MAX} requests wait already")]
    Full,
    /// That chunk waits on that link.
    #[error("chunk {0} was asked for already, and not cancelled")]
    Twice(u64),
}

/// The requests of all links.
#[derive(Debug, Default)]
pub struct Serving {
    /// Bytes a second of all links together.
    limit: Option<NonZeroU64>,
    /// When what was served has had its time.
    free_at: Mono,
    /// Never an empty queue.
    queues: BTreeMap<LinkId, VecDeque<Request>>,
    /// Each link with a queue once, in the order of their turns, but for those that are held.
    turns: VecDeque<LinkId>,
    /// Links that have no turn for now, with a queue or without.
    held: BTreeSet<LinkId>,
    served_chunks: u64,
    served_bytes: u64,
}

impl Serving {
    /// Nobody wants anything. `limit`: bytes a second of all links together.
    pub fn new(limit: Option<NonZeroU64>) -> Serving {
        Serving { limit, ..Serving::default() }
    }

    /// Somebody asks for a chunk.
    ///
    /// # Errors
    /// If too many requests of that link wait, or this one does. An honest fetcher does neither.
    pub fn push(&mut self, link: LinkId, request: Request) -> Result<(), Refusal> {
        let queue = self.queues.entry(link).or_default();
        if queue.len() >= GETS_QUEUED_MAX {
            return Err(Refusal::Full);
        }
        if queue.iter().any(|other| (other.file, other.chunk) == (request.file, request.chunk)) {
            return Err(Refusal::Twice(request.chunk));
        }
        if queue.is_empty() && !self.held.contains(&link) {
            self.turns.push_back(link);
        }
        queue.push_back(request);
        Ok(())
    }

    /// What popped last from that link waits again, before all others there. It was not served after all.
    pub fn put_back(&mut self, link: LinkId, request: Request) {
        let queue = self.queues.entry(link).or_default();
        if queue.is_empty() && !self.held.contains(&link) {
            self.turns.push_back(link);
        }
        queue.push_front(request);
        self.served_chunks -= 1;
        self.refund(request.len);
    }

    /// A chunk is not wanted any more. False if it does not wait: it was never asked for, or is out.
    pub fn cancel(&mut self, link: LinkId, file: u32, chunk: u64) -> bool {
        let Some(queue) = self.queues.get_mut(&link) else { return false };
        let before = queue.len();
        queue.retain(|request| (request.file, request.chunk) != (file, chunk));
        let was_there = queue.len() < before;
        if queue.is_empty() {
            self.queues.remove(&link);
            self.turns.retain(|turn| *turn != link);
        }
        was_there
    }

    /// Files of which a chunk is wanted over any link.
    pub fn files(&self) -> BTreeSet<u32> {
        self.queues.values().flatten().map(|request| request.file).collect()
    }

    /// A link is gone, and its requests with it.
    pub fn drop_link(&mut self, link: LinkId) {
        self.held.remove(&link);
        if self.queues.remove(&link).is_some() {
            self.turns.retain(|turn| *turn != link);
        }
    }

    /// A link has no turn until it is let go.
    pub fn hold(&mut self, link: LinkId) {
        if self.held.insert(link) && self.queues.contains_key(&link) {
            self.turns.retain(|turn| *turn != link);
        }
    }

    /// A link that was held takes its turn after those that have one.
    pub fn let_go(&mut self, link: LinkId) {
        if self.held.remove(&link) && self.queues.contains_key(&link) {
            self.turns.push_back(link);
        }
    }

    /// Whether a link has no turn for now.
    pub fn is_held(&self, link: LinkId) -> bool {
        self.held.contains(&link)
    }

    /// What [`Serving::pop`] would give.
    pub fn peek(&self, now: Mono) -> Option<(LinkId, Request)> {
        if self.next_at().is_none_or(|next_at| next_at > now) {
            return None;
        }
        let link = *self.turns.front()?;
        Some((link, *self.queues.get(&link)?.front()?))
    }

    /// The next chunk to send, and over which link; `None` if nobody wants any, or the limit says
    /// to wait until [`Serving::next_at`].
    pub fn pop(&mut self, now: Mono) -> Option<(LinkId, Request)> {
        if self.next_at().is_none_or(|next_at| next_at > now) {
            return None;
        }
        let link = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&link).expect("a turn is of a link with a queue");
        let request = queue.pop_front().expect("no queue is empty");
        if queue.is_empty() {
            self.queues.remove(&link);
        } else {
            self.turns.push_back(link);
        }
        if let Some(limit) = self.limit {
            let credit_from = Mono(now.0.saturating_sub(UPLOAD_CREDIT.as_nanos() as u64));
            self.free_at = Mono(self.free_at.max(credit_from).0.saturating_add(time_ns(request.len, limit)));
        }
        self.served_chunks += 1;
        self.served_bytes += request.len;
        Some((link, request))
    }

    /// So many bytes of what popped were not sent.
    pub fn refund(&mut self, bytes: u64) {
        self.served_bytes -= bytes;
        if let Some(limit) = self.limit {
            self.free_at = Mono(self.free_at.0.saturating_sub(time_ns(bytes, limit)));
        }
    }

    /// When [`Serving::pop`] has something: `None` if nobody wants anything, and a time that has passed
    /// if it has something now.
    pub fn next_at(&self) -> Option<Mono> {
        (!self.turns.is_empty()).then_some(self.free_at)
    }

    /// Links on which requests wait, and those that are held.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        let queued = self.queues.keys().filter(|link| !self.held.contains(link));
        queued.chain(&self.held).copied()
    }

    /// Requests that wait on a link.
    pub fn waiting(&self, link: LinkId) -> usize {
        self.queues.get(&link).map_or(0, VecDeque::len)
    }

    /// Chunks that were served.
    pub fn served_chunks(&self) -> u64 {
        self.served_chunks
    }

    /// Bytes that were served.
    pub fn served_bytes(&self) -> u64 {
        self.served_bytes
    }

    /// Panics if queues and turns contradict each other.
    pub fn check_invariants(&self) {
        for (link, queue) in &self.queues {
            // One may have been put back.
            assert!(!queue.is_empty() && queue.len() <= GETS_QUEUED_MAX + 1);
            let turns = usize::from(!self.held.contains(link));
            assert_eq!(self.turns.iter().filter(|turn| *turn == link).count(), turns);
        }
        assert!(self.turns.iter().all(|link| self.queues.contains_key(link)));
    }
}

/// How long so many bytes take at that limit.
fn time_ns(bytes: u64, limit: NonZeroU64) -> u64 {
    let time_ns = u128::from(bytes) * u128::from(SECOND_NS) / u128::from(limit.get());
    u64::try_from(time_ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn link(index: u32) -> LinkId {
        LinkId { index, generation: 0 }
    }

    fn request(chunk: u64) -> Request {
        Request { file: 7, chunk, len: 1000 }
    }

    /// Everything that pops at that time, as link and chunk.
    fn pop_all(serving: &mut Serving, now: Mono) -> Vec<(u32, u64)> {
        let mut popped = Vec::new();
        while let Some((link, request)) = serving.pop(now) {
            serving.check_invariants();
            popped.push((link.index, request.chunk));
        }
        popped
    }

    #[test]
    fn links_take_turns_however_much_each_wants() {
        let mut serving = Serving::new(None);
        assert_eq!((serving.pop(Mono(0)), serving.next_at()), (None, None));
        for chunk in 0..4 {
            serving.push(link(1), request(chunk)).unwrap();
        }
        serving.push(link(2), request(10)).unwrap();
        serving.push(link(3), request(20)).unwrap();
        serving.push(link(2), request(11)).unwrap();
        let popped = pop_all(&mut serving, Mono(0));
        assert_eq!(popped, [(1, 0), (2, 10), (3, 20), (1, 1), (2, 11), (1, 2), (1, 3)]);
        assert_eq!((serving.served_chunks(), serving.served_bytes()), (7, 7000));
    }

    #[test]
    fn a_link_has_a_bound_and_asks_for_nothing_twice() {
        let mut serving = Serving::new(NonZeroU64::new(1));
        for chunk in 0..GETS_QUEUED_MAX as u64 {
            serving.push(link(1), request(chunk)).unwrap();
        }
        assert_eq!(serving.push(link(1), request(99)), Err(Refusal::Full));
        assert!(serving.cancel(link(1), 7, 3) && !serving.cancel(link(1), 7, 3));
        assert!(!serving.cancel(link(1), 8, 4) && !serving.cancel(link(2), 7, 4));
        assert_eq!(serving.push(link(1), request(4)), Err(Refusal::Twice(4)));
        assert_eq!(serving.push(link(1), Request { file: 8, ..request(4) }), Ok(()));
        assert_eq!(serving.push(link(2), request(4)), Ok(()));
        serving.drop_link(link(1));
        serving.check_invariants();
        assert_eq!((serving.waiting(link(1)), serving.waiting(link(2))), (0, 1));
        assert_eq!(serving.files().into_iter().collect::<Vec<_>>(), [7]);
        assert!(serving.cancel(link(2), 7, 4));
        serving.check_invariants();
        assert_eq!(serving.next_at(), None);
    }

    #[test]
    fn a_limit_holds_over_all_links_together() {
        // A chunk takes 100 ms.
        let mut serving = Serving::new(NonZeroU64::new(10_000));
        let start = Mono(5_000 * MS);
        for chunk in 0..4 {
            serving.push(link(chunk as u32 % 2), request(chunk)).unwrap();
        }
        assert_eq!(pop_all(&mut serving, start), [(0, 0), (1, 1)], "what idle time has saved up, and one");
        assert_eq!(serving.next_at(), Some(start + std::time::Duration::from_millis(100)));
        assert_eq!(pop_all(&mut serving, Mono(start.0 + 99 * MS)), []);
        assert_eq!(pop_all(&mut serving, Mono(start.0 + 130 * MS)), [(0, 2)]);
        let next_at = serving.next_at().unwrap();
        assert_eq!(next_at, Mono(start.0 + 200 * MS), "a late timer costs no speed");
        assert_eq!(pop_all(&mut serving, next_at), [(1, 3)]);
    }

    #[test]
    fn a_link_that_is_held_has_no_turn_and_loses_nothing() {
        let mut serving = Serving::new(None);
        for chunk in 0..3 {
            serving.push(link(1), request(chunk)).unwrap();
        }
        serving.push(link(2), request(10)).unwrap();
        let (first, taken) = serving.peek(Mono(0)).unwrap();
        assert_eq!(serving.pop(Mono(0)), Some((first, taken)));
        serving.hold(first);
        serving.hold(link(3));
        serving.push(link(3), request(20)).unwrap();
        serving.push(first, request(3)).unwrap();
        assert_eq!(pop_all(&mut serving, Mono(0)), [(2, 10)]);
        assert_eq!(serving.links().collect::<Vec<_>>(), [first, link(3)], "they wait for a word");
        serving.put_back(first, taken);
        assert!(serving.cancel(link(3), 7, 20));
        serving.let_go(link(3));
        assert_eq!((serving.next_at(), serving.links().count()), (None, 1));
        serving.let_go(first);
        assert_eq!(pop_all(&mut serving, Mono(0)), [(1, 0), (1, 1), (1, 2), (1, 3)]);
        assert_eq!((serving.served_chunks(), serving.served_bytes()), (5, 5000));
        serving.hold(first);
        serving.drop_link(first);
        assert_eq!(serving.links().count(), 0);
    }

    #[test]
    fn what_goes_out_shorter_takes_less_time() {
        let mut serving = Serving::new(NonZeroU64::new(10_000));
        let start = Mono(5_000 * MS);
        (0..3).for_each(|chunk| serving.push(link(1), request(chunk)).unwrap());
        assert_eq!(pop_all(&mut serving, start).len(), 2);
        serving.refund(900);
        assert_eq!(serving.next_at(), Some(Mono(start.0 + 10 * MS)));
        assert_eq!(serving.served_bytes(), 1100);
    }

    #[test]
    fn the_longest_chunk_under_the_lowest_limit_does_not_overflow() {
        let mut serving = Serving::new(NonZeroU64::new(1));
        serving.push(link(0), Request { file: 0, chunk: 0, len: u64::MAX }).unwrap();
        serving.push(link(0), Request { file: 0, chunk: 1, len: u64::MAX }).unwrap();
        assert!(serving.pop(Mono(0)).is_some());
        assert_eq!(serving.pop(Mono(u64::MAX - 1)), None);
    }

    proptest! {
        /// Every request is served once or cancelled, in order on its link; nobody waits for two turns
        /// of another; the limit is kept.
        #[test]
        fn requests_are_served_once_in_order_and_within_the_limit(
            limit in prop::option::of(1_000u64..1_000_000),
            acts in prop::collection::vec((0u8..8, 0u32..4, 0u64..40, 1u64..5_000), 0..200),
        ) {
            let mut serving = Serving::new(limit.and_then(NonZeroU64::new));
            let mut model: BTreeMap<u32, VecDeque<u64>> = BTreeMap::new();
            let (mut now, mut served) = (0, 0);
            for (act, index, chunk, amount) in acts {
                let queue = model.entry(index).or_default();
                match act {
                    0..=3 => {
                        let pushed = serving.push(link(index), Request { file: 0, chunk, len: amount });
                        if pushed.is_ok() { queue.push_back(chunk); }
                        prop_assert_eq!(pushed == Err(Refusal::Full), queue.len() == GETS_QUEUED_MAX && pushed.is_err());
                    }
                    4 => {
                        let before = queue.len();
                        queue.retain(|other| *other != chunk);
                        prop_assert_eq!(serving.cancel(link(index), 0, chunk), queue.len() < before);
                    }
                    5 if chunk == 0 => {
                        queue.clear();
                        serving.drop_link(link(index));
                    }
                    _ => {
                        now += amount * 10_000;
                        while let Some((link, request)) = serving.pop(Mono(now)) {
                            prop_assert_eq!(model.get_mut(&link.index).unwrap().pop_front(), Some(request.chunk));
                            served += request.len;
                            if let Some(limit) = limit {
                                let allowed = u128::from(now + 100 * MS) * u128::from(limit) / 1_000_000_000;
                                prop_assert!(u128::from(served - request.len) <= allowed + 1 + served as u128 / 1_000_000);
                            }
                        }
                        prop_assert!(limit.is_some() || serving.next_at().is_none());
                    }
                }
                serving.check_invariants();
                for (index, queue) in &model {
                    prop_assert_eq!(serving.waiting(link(*index)), queue.len());
                }
            }
            prop_assert_eq!(serving.served_bytes(), served);
        }
    }
}
