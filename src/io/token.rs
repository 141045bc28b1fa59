//! What a mio token means. Never owns what it names.

use mio::Token;

use crate::proto::ids::LinkId;
use crate::proto::limits::LINKS_MAX;

/// A source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The timer: an event means only that the wait is over.
    Timer,
    /// SIGTERM or SIGINT came.
    Signals,
    /// The helper has answers.
    Helper,
    /// Standard input.
    Typing,
    /// A listener, by its place.
    Listener(u32),
    /// A link.
    Link(LinkId),
}

/// The low half of a token below this is a link's place, and the high half its generation.
const LISTENERS: u32 = 1 << 31;
const TIMER: u32 = u32::MAX;
const SIGNALS: u32 = u32::MAX - 1;
const HELPER: u32 = u32::MAX - 2;
const TYPING: u32 = u32::MAX - 3;

const _: () = assert!(usize::BITS == 64 && LINKS_MAX < LISTENERS as usize);

impl Source {
    pub(super) fn token(self) -> Token {
        let (low, high) = match self {
            Source::Timer => (TIMER, 0),
            Source::Signals => (SIGNALS, 0),
            Source::Helper => (HELPER, 0),
            Source::Typing => (TYPING, 0),
            Source::Listener(place) => (LISTENERS + place, 0),
            Source::Link(link) => (link.index, link.generation),
        };
        Token((u64::from(high) << 32 | u64::from(low)) as usize)
    }

    pub(super) fn of(token: Token) -> Source {
        let (low, high) = (token.0 as u32, (token.0 as u64 >> 32) as u32);
        match low {
            TIMER => Source::Timer,
            SIGNALS => Source::Signals,
            HELPER => Source::Helper,
            TYPING => Source::Typing,
            LISTENERS.. => Source::Listener(low - LISTENERS),
            _ => Source::Link(LinkId { index: low, generation: high }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for source in [
            Source::Timer,
            Source::Signals,
            Source::Helper,
            Source::Typing,
            Source::Listener(0),
            Source::Listener(9000),
            Source::Link(LinkId { index: 0, generation: 0 }),
            Source::Link(LinkId { index: LINKS_MAX as u32, generation: u32::MAX }),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
