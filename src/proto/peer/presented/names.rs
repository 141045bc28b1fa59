//! Names of the mesh for files that have any name on the disk. Reads no file.

use std::collections::BTreeMap;

use crate::proto::ids::FileName;
use crate::proto::limits::FILE_NAME_BYTES_MAX;
use crate::proto::machine::{numbered_name, shortened_name};

/// Longest name that gets a number behind it, with room for a dot and seven digits.
const NUMBERED_BYTES_MAX: usize = FILE_NAME_BYTES_MAX - 8;
/// Numbers have at most so many digits; far more than there are files at once.
const NUMBER_MAX: u32 = 9_999_999;

/// What was given so far: the next number of many names that become the same is found at once.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the name that gets a number; only those with a number that is in use.
    numbered: BTreeMap<String, Numbered>,
}

/// The numbers of one name.
#[derive(Debug, Default)]
struct Numbered {
    /// Given last. The next one is mostly free.
    last: u32,
    /// How many are in use.
    used: usize,
}

impl Names {
    /// A name for a file that nobody has, made of that on the disk.
    pub(super) fn free(&mut self, path: &str, is_taken: impl Fn(&str) -> bool) -> FileName {
        let mut name = shared_name(path, FILE_NAME_BYTES_MAX);
        if is_taken(&name) {
            let short = shared_name(path, NUMBERED_BYTES_MAX);
            let numbered = self.numbered.entry(short.clone()).or_default();
            while is_taken(&name) {
                numbered.last = numbered.last % NUMBER_MAX + 1;
                name = numbered_name(&short, numbered.last);
            }
            numbered.used += 1;
        }
        name.parse().expect("made of what a name may have")
    }

    /// Nobody has that name any more, which was made for a file of that name on the disk.
    pub(super) fn give_back(&mut self, path: &str, name: &FileName) {
        if name.as_str() == shared_name(path, FILE_NAME_BYTES_MAX) {
            return;
        }
        let short = shared_name(path, NUMBERED_BYTES_MAX);
        if let Some(numbered) = self.numbered.get_mut(&short) {
            numbered.used -= 1;
            if numbered.used == 0 {
                self.numbered.remove(&short);
            }
        }
    }
}

/// The name with `_` for all that a shared file's may not have; a long one is shortened before its ending.
fn shared_name(path: &str, bytes_max: usize) -> String {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name = path.chars().map(|letter| if is_good(letter) { letter } else { '_' }).collect();
    let mut name = shortened_name(name, bytes_max);
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
    use std::cell::Cell;
    use std::collections::BTreeSet;

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
            assert_eq!(Names::default().free(path, |_| false).as_str(), expected);
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let long = "x".repeat(FILE_NAME_BYTES_MAX);
        for path in ["a b", &long, "..", "a.partial"] {
            let mut taken: Vec<String> = Vec::new();
            let mut names = Names::default();
            for _ in 0..12 {
                let name = names.free(path, |name| taken.iter().any(|other| other == name));
                taken.push(name.to_string());
            }
            assert!(taken[11].ends_with(".11"), "{taken:?}");
        }
    }

    #[test]
    fn names_that_are_given_back_leave_nothing_behind() {
        let mut names = Names::default();
        let mut taken = BTreeSet::from(["_".to_owned()]);
        for _ in 0..3 {
            let given = ["ä", "ö", "ü"].map(|path| {
                let name = names.free(path, |name| taken.contains(name));
                assert!(taken.insert(name.to_string()));
                (path, name)
            });
            assert_eq!(given.each_ref().map(|(_, name)| name.as_str()), ["_.1", "_.2", "_.3"]);
            for (path, name) in &given {
                assert_eq!(names.numbered.len(), 1);
                taken.remove(name.as_str());
                names.give_back(path, name);
            }
            assert!(names.numbered.is_empty());
        }
        names.give_back("-", &"_".parse().unwrap());
    }

    #[test]
    fn numbers_begin_again_when_they_would_be_too_long() {
        let (long, mut names) = ("x".repeat(FILE_NAME_BYTES_MAX), Names::default());
        let last = Numbered { last: NUMBER_MAX - 1, used: 1 };
        names.numbered.insert(shared_name(&long, NUMBERED_BYTES_MAX), last);
        let given = [(); 2].map(|()| names.free(&long, |name| name == long));
        assert!(given[0].as_str().ends_with("x.9999999") && given[1].as_str().ends_with("x.1"), "{given:?}");
    }

    #[test]
    fn thousands_of_names_that_become_the_same_are_found_at_once() {
        let (mut names, mut taken, asked) = (Names::default(), BTreeSet::new(), Cell::new(0));
        // Somebody has a name that would be given.
        taken.insert("_.4000".to_owned());
        for _ in 0..8000 {
            let name = names.free("ä", |name| {
                asked.set(asked.get() + 1);
                taken.contains(name)
            });
            assert!(taken.insert(name.to_string()));
        }
        assert!(taken.contains("_.8000") && asked.get() <= 3 * 8000, "{}", asked.get());
    }
}
