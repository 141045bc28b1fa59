//! Requests for chunks that wait to be served: whose turn it is, and when the next chunk may go under a
//! limit of all uploads together. Reads no file and knows nothing about who may have what.
//!
//! Links take turns, a chunk each. Without a limit nothing waits here: everything pops at once, in that
//! order, and the sockets set the pace. With one, a chunk goes out whole as soon as those before it
//! have had their time, so that the rate is right over a few chunks, not within one.

use std::collections::{BTreeMap, VecDeque};
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
    /// Each link with a queue once, in the order of their turns.
    turns: VecDeque<LinkId>,
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
        if queue.is_empty() {
            self.turns.push_back(link);
        }
        queue.push_back(request);
        Ok(())
    }

    /// A chunk is not wanted any more. False if it does not wait: it was never asked for, or is out.
    pub fn cancel(&mut self, link: LinkId, file: u32, chunk: u64) -> bool {
        let Some(queue) = self.queues.get_mut(&link) else { return false };
        let before = queue.len();
        queue.retain(|request| (request.file, request.chunk) != (file, chunk));
        let was_there = queue.len() < before;
        if queue.is_empty() {
            self.drop_link(link);
        }
        was_there
    }

    /// A link is gone, and its requests with it.
    pub fn drop_link(&mut self, link: LinkId) {
        if self.queues.remove(&link).is_some() {
            self.turns.retain(|turn| *turn != link);
        }
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
            let taken_ns = u128::from(request.len) * u128::from(SECOND_NS) / u128::from(limit.get());
            let taken_ns = u64::try_from(taken_ns).unwrap_or(u64::MAX);
            self.free_at = Mono(self.free_at.max(credit_from).0.saturating_add(taken_ns));
        }
        self.served_chunks += 1;
        self.served_bytes += request.len;
        Some((link, request))
    }

    /// When [`Serving::pop`] has something: `None` if nobody wants anything, and a time that has passed
    /// if it has something now.
    pub fn next_at(&self) -> Option<Mono> {
        (!self.turns.is_empty()).then_some(self.free_at)
    }

    /// Links on which requests wait, in the order of their turns.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.turns.iter().copied()
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
        assert_eq!(self.turns.len(), self.queues.len());
        for (link, queue) in &self.queues {
            assert!(!queue.is_empty() && queue.len() <= GETS_QUEUED_MAX);
            assert_eq!(self.turns.iter().filter(|turn| *turn == link).count(), 1);
        }
    }
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
