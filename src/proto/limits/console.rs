//! Bounds of the console, each with its unit and its reason.

use std::time::Duration;

use crate::proto::limits::LINE_BYTES_MAX;

/// Bytes of standard input in one visit: some lines. A pipe may bring any number.
pub const TYPED_BUDGET_BYTES: usize = 16 << 10;
/// How long the rest of a key's sequence may take: long for a terminal, short for somebody who presses Escape.
pub const KEY_TIMEOUT: Duration = Duration::from_millis(50);
/// Bytes of the text that is being typed: some pasted pages.
pub const EDITED_BYTES_MAX: usize = 16 << 10;
/// Lines of the history.
pub const HISTORY_LINES_MAX: usize = 1000;
/// The file is shortened when it has grown to this: a thousand of the longest lines.
pub const HISTORY_BYTES_MAX: u64 = 4 << 20;
/// Names that can be completed, of users and of files each. People know no more.
pub const KNOWN_NAMES_MAX: usize = 1000;
/// How soon output that had to wait is tried again.
pub const SHOW_AGAIN_PAUSE: Duration = Duration::from_millis(20);

const _: () = {
    assert!(TYPED_BUDGET_BYTES >= LINE_BYTES_MAX && EDITED_BYTES_MAX >= LINE_BYTES_MAX);
    assert!(HISTORY_BYTES_MAX as usize >= HISTORY_LINES_MAX * LINE_BYTES_MAX);
};
