//! What is going to happen, in the order of the world's time. Never looks into an event.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A heap of events. What is due at one instant comes in the order in which it was pushed.
#[derive(Debug)]
pub(super) struct Queue<E> {
    heap: BinaryHeap<Entry<E>>,
    pushed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    at_ns: u64,
    serial: u64,
    event: E,
}

/// An event that is due: its time, its serial number, and itself.
pub(super) type Due<E> = (u64, u64, E);

impl<E: Copy> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), pushed: 0 }
    }

    /// Returns the event's serial number, by which a later push can replace it.
    pub(super) fn push(&mut self, at_ns: u64, event: E) -> u64 {
        self.pushed += 1;
        self.heap.push(Entry { at_ns, serial: self.pushed, event });
        self.pushed
    }

    /// The next event, if it is due at `limit_ns` or before.
    pub(super) fn pop(&mut self, limit_ns: u64) -> Option<Due<E>> {
        if self.heap.peek()?.at_ns > limit_ns {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at_ns, entry.serial, entry.event))
    }
}

impl<E> Entry<E> {
    fn key(&self) -> (u64, u64) {
        (self.at_ns, self.serial)
    }
}

impl<E> Ord for Entry<E> {
    /// The heap gives its greatest entry first: the earliest one.
    fn cmp(&self, other: &Entry<E>) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Entry<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Entry<E>) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_turn() {
        let mut queue = Queue::new();
        for (at_ns, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b'), (9, 'e')] {
            queue.push(at_ns, event);
        }
        let mut order = String::new();
        while let Some((_, _, event)) = queue.pop(8) {
            order.push(event);
        }
        assert_eq!(order, "abcd");
        assert_eq!(queue.pop(9), Some((9, 5, 'e')));
        assert_eq!(queue.pop(u64::MAX), None);
    }
}
