//! Files that another machine of the driver has for us, which are offered to everybody: under which names, and
//! until when. Whoever does this ends only when it is asked to. Reads no file.

use std::collections::BTreeMap;

use crate::proto::ids::FileName;
use crate::proto::limits::{ENDING_BYTES_MAX, FILE_NAME_BYTES_MAX, PRESENTED_LOOK_PERIOD};
use crate::proto::machine::{CloseReason, Effect, Os, numbered_name};
use crate::proto::peer::Peers;
use crate::proto::peer::common::Common;
use crate::proto::peer::guest::{Guest, Offer};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::{Contact, Member};
use crate::proto::text::Shown;
use crate::proto::time::{Mono, Now};

/// Longest name that gets a number behind it: `.8192` is the longest.
const NUMBERED_BYTES_MAX: usize = FILE_NAME_BYTES_MAX - 8;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Presented {
    /// By their paths, in order.
    items: BTreeMap<Box<str>, ItemId>,
    /// Files for which there was no room.
    refused: u64,
    /// When the folder is looked at next.
    next_look: Mono,
    /// The last trouble that was told, so that it is told once.
    pub(super) told: Option<String>,
}

impl Guest {
    /// It ends only when it is asked to.
    pub(super) fn stays(&self) -> bool {
        self.orders.presented_max > 0
    }
}

impl Peers {
    pub(super) fn on_presented(&mut self, path: &str, now: Now, os: &mut dyn Os) {
        self.members.iter_mut().for_each(|member| member.on_presented(path, &mut self.common, now, os));
    }

    /// What is in our folder.
    pub(super) fn on_surveyed(&mut self, names: &[String], now: Now, os: &mut dyn Os) {
        self.members.iter_mut().for_each(|member| member.on_surveyed(names, &mut self.common, now, os));
    }
}

impl Member {
    /// It ends only when it is asked to.
    pub(super) fn stays(&self) -> bool {
        self.guest.as_ref().is_some_and(Guest::stays)
    }

    /// A file of our folder is whole. One that was offered before may be another one now, and is looked at anew.
    fn on_presented(&mut self, path: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        let presented = &mut guest.presented;
        let known = presented.items.get(path).copied();
        if known.is_none() && presented.items.len() >= guest.orders.presented_max {
            presented.refused += 1;
            if presented.refused == 1 {
                let limit = guest.orders.presented_max;
                log::warn!("no more files are offered until the program starts anew limit={limit}");
            }
            return;
        }
        let item = known.unwrap_or_else(|| {
            let name = free_name(path, |name| self.library.find(name).is_some());
            if name.as_str() != path {
                log::info!("file offered under another name file=\"{}\" as={name}", Shown(path));
            }
            self.library.expect(name, None)
        });
        if presented.items.is_empty() {
            presented.next_look = now.mono + PRESENTED_LOOK_PERIOD;
        }
        presented.items.insert(path.into(), item);
        if known.is_some() && guest.waits(item) {
            return;
        }
        let offered = self.library.at_mut(item);
        if let State::Checking { .. } = offered.state {
            guest.looked_at -= 1;
        }
        let name = offered.name.clone();
        offered.close(common, os);
        (offered.trouble, offered.registers_refused) = (None, 0);
        (offered.verified, offered.is_registered) = (None, false);
        guest.offer(item, Offer { path: path.to_owned(), name, chunks: None });
        self.open_more_offers(common, os);
    }

    /// Looks from time to time whether what is offered is still there: an open file keeps its room on the disk.
    pub(super) fn look_at_folder(&mut self, now: Now, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        let names_max = guest.orders.presented_max;
        let presented = &mut guest.presented;
        if !presented.items.is_empty() && now.mono >= presented.next_look {
            presented.next_look = now.mono + PRESENTED_LOOK_PERIOD;
            os.perform(Effect::Survey { names_max });
        }
    }

    fn on_surveyed(&mut self, names: &[String], common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.stays()) else { return };
        // Where there were too many names, nothing is known of those behind the last.
        let is_all = names.len() < guest.orders.presented_max;
        let last = names.last().filter(|_| !is_all);
        let mut there = names.iter().peekable();
        let mut gone = Vec::new();
        for (path, item) in &guest.presented.items {
            while there.next_if(|name| ***name < **path).is_some() {}
            let is_there = there.peek().is_some_and(|name| ***name == **path);
            if !is_there && last.is_none_or(|last| **path < **last) {
                gone.push(*item);
            }
        }
        for item in gone {
            self.withdraw(item, "it is not in its folder any more", common, now, os);
        }
    }

    /// Trouble that would be the end of another is told once, and all is tried again for as long as it takes.
    pub(super) fn stay(&mut self, why: &str, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        if guest.presented.told.as_deref() != Some(why) {
            guest.presented.told = Some(why.to_owned());
            log::warn!("files are not offered id={} why=\"{why}\"; trying again", self.label());
        }
        if let Contact::Up(link) | Contact::Joining(link) | Contact::Joined(link) = self.contact {
            common.close(link, CloseReason::Unwanted, os);
            self.on_server_down(why, common, now, os);
        }
    }
}

/// A name for a file that nobody has, made of that on the disk.
fn free_name(path: &str, is_taken: impl Fn(&str) -> bool) -> FileName {
    let (name, short) = (shared_name(path, FILE_NAME_BYTES_MAX), shared_name(path, NUMBERED_BYTES_MAX));
    let mut names = (0..).map(|number| numbered_name(if number == 0 { &name } else { &short }, number));
    let free = names.find(|name| !is_taken(name)).expect("there are more numbers than files");
    free.parse().expect("made of what a name may have")
}

/// The name with `_` for all that a shared file's may not have; a long one is shortened before its ending.
fn shared_name(path: &str, bytes_max: usize) -> String {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let mut name: String = path.chars().map(|letter| if is_good(letter) { letter } else { '_' }).collect();
    if name.len() > bytes_max {
        let dot = name.rfind('.').filter(|dot| name.len() - dot <= ENDING_BYTES_MAX);
        let ending = name.split_off(dot.unwrap_or(name.len()));
        name.truncate(bytes_max - ending.len());
        name += &ending;
    }
    let is_edge = |letter: char| letter != '-' && letter != '.';
    if !name.starts_with(is_edge) {
        name.replace_range(..name.len().min(1), "_");
    }
    if !name.ends_with(is_edge) {
        name.replace_range(name.len() - 1.., "_");
    }
    // Unfinished files are called so.
    if FileName::is_partial(&name) { name.replace(".partial", "_partial") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_for_sharing() {
        let long = "x".repeat(300);
        for (path, expected) in [
            ("film.bin", "film.bin"),
            ("my film (1).mp4", "my_film__1_.mp4"),
            ("größe.txt", "gr__e.txt"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("end.", "end_"),
            ("", "_"),
            (".", "_"),
            ("a.partial", "a_partial"),
            (&long, &"x".repeat(FILE_NAME_BYTES_MAX)),
            (&format!("{long}.jpeg"), &format!("{}.jpeg", "x".repeat(FILE_NAME_BYTES_MAX - 5))),
        ] {
            assert_eq!(free_name(path, |_| false).as_str(), expected);
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let long = "x".repeat(FILE_NAME_BYTES_MAX);
        for path in ["a b", &long, "..", "a.partial"] {
            let mut taken: Vec<String> = Vec::new();
            for _ in 0..12 {
                let name = free_name(path, |name| taken.iter().any(|other| other == name));
                taken.push(name.to_string());
            }
            assert!(taken[11].ends_with(".11"), "{taken:?}");
        }
    }
}
