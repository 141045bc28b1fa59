//! Names that were found to have no number left. To find that takes the driver ten thousand looks, so the next ones who bring such
//! a name are refused without them, for a while. Never looks itself.

use std::collections::BTreeMap;

use crate::proto::limits::{FULL_NAME_PAUSE, FULL_NAMES_MAX};
use crate::proto::time::Mono;

/// Names, and until when each counts as full.
#[derive(Debug, Default)]
pub(super) struct FullNames(BTreeMap<Box<str>, Mono>);

impl FullNames {
    pub(super) fn note(&mut self, name: &str, now: Mono) {
        self.0.retain(|_, until| now < *until);
        if self.0.len() < FULL_NAMES_MAX {
            self.0.insert(name.into(), now + FULL_NAME_PAUSE);
        }
    }

    pub(super) fn contains(&self, name: &str, now: Mono) -> bool {
        self.0.get(name).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_known_for_so_long() {
        let (mut names, then) = (FullNames::default(), Mono(5) + FULL_NAME_PAUSE);
        (0..=FULL_NAMES_MAX).for_each(|number| names.note(&number.to_string(), Mono(5)));
        let known = |names: &FullNames, now| {
            (0..=FULL_NAMES_MAX).filter(|number| names.contains(&number.to_string(), now)).count()
        };
        assert_eq!((known(&names, Mono(then.0 - 1)), known(&names, then)), (FULL_NAMES_MAX, 0));
        names.note("last", then);
        assert!(names.contains("last", then) && names.0.len() == 1);
    }
}
