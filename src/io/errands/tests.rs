//! The order in which errands are run.

use super::*;
use crate::io::finish::Naming;
use crate::proto::limits::SWEEP_FILES_MIN;
use crate::proto::machine::temp_name;
use crate::proto::time::Wall;

const A: Whose = (0, FileId(1));
const B: Whose = (0, FileId(2));

fn part(bytes: &[u8], offset: u64, len: u64) -> Part {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    Part { handle: Arc::new(Handle::from(file)), offset, len }
}

fn finish(dir: &tempfile::TempDir, name: u32) -> Finish {
    let path = dir.path().join(name.to_string());
    let file = std::fs::File::create(&path).unwrap();
    let (handle, root) = (Arc::new(Handle::from(file)), Arc::from(dir.path()));
    Finish { handle, root, path, naming: Naming::Named, folder_is_new: true }
}

/// What is done, turn by turn, in short.
fn run(errands: &mut Errands) -> Vec<String> {
    let mut turns = Vec::new();
    while !errands.is_empty() {
        let words = errands.turn().into_iter().map(|done| match done {
            Done::Finish((_, file), outcome) => format!("finish{}{}", file.0, mark(&outcome.result)),
            Done::Read((_, file), offset, result) => format!("read{}@{offset}{}", file.0, mark(&result)),
            Done::Hash((_, file), offset, result) => format!("hash{}@{offset}{}", file.0, mark(&result)),
            Done::Forgotten((_, file)) => format!("forgot{}", file.0),
            Done::Derived(machine, job, _) => format!("derived{machine}@{job}"),
            Done::Reserved((_, file), result) => format!("reserved{}{}", file.0, mark(&result)),
            Done::LetGo(files) => format!("gone{files}"),
            Done::Surveyed(_, result) => {
                format!("survey{}", result.map_or(0, |found| found.files.len()))
            }
        });
        turns.push(words.collect::<Vec<_>>().join(" "));
    }
    turns
}

fn mark<T>(result: &io::Result<T>) -> String {
    result.as_ref().err().map_or(String::new(), |error| format!("!{:?}", error.kind()))
}

#[test]
fn a_finish_and_a_read_wait_for_a_slice_of_a_hash_only() {
    let dir = tempfile::tempdir().unwrap();
    let long = vec![7; 2 * HASH_SLICE_BYTES as usize + 1];
    let mut errands = Errands::default();
    errands.add(Job::Hash(A, part(&long, 0, long.len() as u64)));
    errands.add(Job::Hash(B, part(&long, 5, 10)));
    assert!(errands.turn().is_empty());
    errands.add(Job::Read(B, part(b"bytes", 1, 3)));
    errands.add(Job::Read(B, part(b"bytes", 2, 3)));
    for file in 0..SWEEP_FILES_MIN as u32 {
        errands.add(Job::Finish((0, FileId(file)), finish(&dir, file)));
    }
    let finishes: String = (0..SWEEP_FILES_MIN).map(|file| format!("finish{file} ")).collect();
    let turns = ["read2@1 read2@2", finishes.trim(), "hash1@0", "hash2@5"];
    assert_eq!(run(&mut errands), turns);
}

#[test]
fn hashes_and_reads_are_those_of_their_range() {
    let bytes: Vec<u8> = (0..HASH_SLICE_BYTES as usize + 999).map(|place| (place % 251) as u8).collect();
    let mut errands = Errands::default();
    let len = bytes.len() as u64 - 7;
    errands.add(Job::Hash(A, part(&bytes, 7, len)));
    errands.add(Job::Read(B, part(&bytes, 100, 500)));
    let mut done = errands.turn();
    done.extend(errands.turn());
    done.extend(errands.turn());
    let [Done::Read(_, 100, Ok(read)), Done::Hash(_, 7, Ok(hash))] = &done[..] else { panic!("{done:?}") };
    assert_eq!((&read[..], *hash), (&bytes[100..600], blake3::hash(&bytes[7..])));
}

#[test]
fn a_range_beyond_the_end_is_an_error() {
    let mut errands = Errands::default();
    for (offset, len) in [(0, 6), (3, 3), (5, 1), (u64::MAX, 1), (1 << 63, 0), (1, u64::MAX >> 1)] {
        errands.add(Job::Hash(A, part(b"bytes", offset, len)));
        if len < 10 {
            errands.add(Job::Read(A, part(b"bytes", offset, len)));
        }
    }
    errands.add(Job::Hash(A, part(b"", 0, 0)));
    let words = run(&mut errands).join(" ");
    assert_eq!(words.matches("!UnexpectedEof").count(), 11, "{words}");
    assert!(words.ends_with(" hash1@0"), "{words}");
}

#[test]
fn a_file_is_begun_with_once_a_turn_and_not_kept_open_for_it() {
    let handle = Arc::new(Handle::from(tempfile::tempfile().unwrap()));
    let mut errands = Errands::default();
    for _ in 0..3 {
        errands.add(Job::Start(Arc::downgrade(&handle)));
    }
    assert_eq!((errands.starts.len(), Arc::strong_count(&handle)), (1, 1));
    assert!(!errands.is_empty() && errands.turn().is_empty());
    assert!(errands.is_empty());
}

#[test]
fn what_is_forgotten_is_not_done() {
    let mut errands = Errands::default();
    for whose in [A, B, A] {
        errands.add(Job::Hash(whose, part(b"bytes", 0, 5)));
        errands.add(Job::Read(whose, part(b"bytes", 0, 5)));
    }
    errands.add(Job::Forget(A));
    assert_eq!(run(&mut errands), ["forgot1 forgot1 forgot1 forgot1 read2@0", "hash2@0"]);
}

#[test]
fn reads_that_never_end_keep_nothing_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let mut errands = Errands::default();
    errands.add(Job::Finish(A, finish(&dir, 1)));
    let mut turns = Vec::new();
    for _ in 0..3 {
        errands.add(Job::Read(B, part(b"bytes", 1, 3)));
        turns.extend(errands.turn().into_iter().map(|done| matches!(done, Done::Finish(..))));
    }
    assert_eq!(turns, [false, true, false, false], "a read, the finish, and the reads since");
}

#[test]
fn a_survey_is_done_in_its_turn_among_the_finishes() {
    let dir = tempfile::tempdir().unwrap();
    let mut errands = Errands::default();
    for file in 1..6 {
        let job = finish(&dir, file);
        let (root, path) = (Arc::clone(&job.root), job.path.clone());
        let (handle, naming) = (Arc::clone(&job.handle), Naming::Fresh { tag: file });
        std::fs::rename(&path, dir.path().join(temp_name("a", file))).unwrap();
        job.handle.write_all_at(b"x", 0).unwrap();
        let path = dir.path().join("a");
        errands
            .add(Job::Finish((0, FileId(file)), Finish { handle, root, path, naming, folder_is_new: false }));
        if file % 2 == 0 {
            let root = Arc::from(dir.path());
            errands.add(Job::Survey(0, Survey { root, files_max: 9, now: Wall(0), ours: Vec::new() }));
            errands.add(Job::Read(B, part(b"bytes", 1, 3)));
        }
    }
    let turns = ["read2@1 read2@1", "finish1 finish2 survey2", "finish3 finish4 survey4", "finish5"];
    assert_eq!(run(&mut errands), turns);
}

#[test]
fn deleted_files_go_before_the_next_slice_of_a_hash() {
    let long = vec![7; 3 * HASH_SLICE_BYTES as usize];
    let mut errands = Errands::default();
    errands.add(Job::Hash(A, part(&long, 0, long.len() as u64)));
    let handles: Vec<Arc<Handle>> =
        (0..=LET_GO_FILES_MAX).map(|_| Arc::new(Handle::from(tempfile::tempfile().unwrap()))).collect();
    let weak: Vec<Weak<Handle>> = handles.iter().map(Arc::downgrade).collect();
    handles.into_iter().for_each(|handle| errands.add(Job::LetGo(handle)));
    errands.add(Job::Read(B, part(b"bytes", 1, 3)));
    let is_gone = |handle: &Weak<Handle>| handle.upgrade().is_none();
    assert!(matches!(errands.turn()[..], [Done::Read(..)]));
    assert!(matches!(errands.turn()[..], [Done::LetGo(LET_GO_FILES_MAX)]), "before the hash is done");
    assert!(weak[..LET_GO_FILES_MAX].iter().all(is_gone) && !is_gone(&weak[LET_GO_FILES_MAX]), "in order");
    assert_eq!(run(&mut errands), ["gone1", "hash1@0"]);
    assert!(weak.iter().all(is_gone));
}

#[test]
fn nobody_waits_for_two_big_deleted_files() {
    let big = || {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; LET_GO_BYTES_MAX as usize], 0).unwrap();
        Arc::new(Handle::from(file))
    };
    let mut errands = Errands::default();
    (0..2).for_each(|_| errands.add(Job::LetGo(big())));
    let dir = tempfile::tempdir().unwrap();
    errands.add(Job::Finish(A, finish(&dir, 1)));
    assert_eq!(run(&mut errands), ["gone1 finish1", "gone1"]);
}
