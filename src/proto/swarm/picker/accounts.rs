//! Why anything was asked for more than once: nothing is fetched twice without a cause that is counted
//! here. Counts chunks, not bytes, and decides nothing.

/// Why a chunk was asked for once more; [`Accounts`] has a count for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    EndGame,
    Silent,
    Wrong,
    Denied,
    Broken,
}

/// Requests for the chunks of one file. `asked` less [`Accounts::repeated`] is the number of chunks
/// that were ever asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Requests made.
    pub asked: u64,
    /// Made again: nothing else was left to ask for, and another source took long.
    pub end_game: u64,
    /// Made again: the source that was asked brought nothing for too long.
    pub silent: u64,
    /// Made again: what came failed its hash.
    pub wrong: u64,
    /// Made again: the source does not hold the chunk any more.
    pub denied: u64,
    /// Made again: the source went away before it had brought the chunk.
    pub broken: u64,
    /// Chunks that came whole when they were of no use any more; each was asked for again before.
    pub thrown_away: u64,
}

impl Accounts {
    /// Requests that were not the first for their chunk.
    pub fn repeated(&self) -> u64 {
        self.end_game + self.silent + self.wrong + self.denied + self.broken
    }

    pub(super) fn count(&mut self, again: Again) {
        *match again {
            Again::EndGame => &mut self.end_game,
            Again::Silent => &mut self.silent,
            Again::Wrong => &mut self.wrong,
            Again::Denied => &mut self.denied,
            Again::Broken => &mut self.broken,
        } += 1;
    }
}

impl std::ops::AddAssign for Accounts {
    fn add_assign(&mut self, more: Accounts) {
        self.asked += more.asked;
        self.end_game += more.end_game;
        self.silent += more.silent;
        self.wrong += more.wrong;
        self.denied += more.denied;
        self.broken += more.broken;
        self.thrown_away += more.thrown_away;
    }
}
