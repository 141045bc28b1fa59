//! Tables that the writer made, cut and damaged at every place, and bytes that nobody made.

use proptest::prelude::*;

use super::*;
use crate::proto::record::table::TableWriter;

const ALICE: &str = "10.0.0.7";
const SERVER: &str = "2001:db8::1";
const START: Wall = Wall(1_795_229_580_123_456_789);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A table of rows in turn from Alice and from the server, 5 ms apart.
fn table(rows: u64, end: Option<Option<&str>>) -> Vec<u8> {
    let (alice, server) = (IpText::new(ip(ALICE)), IpText::new(ip(SERVER)));
    let mut out = Vec::new();
    let mut writer = TableWriter::new();
    writer.header(&mut out);
    for index in 0..rows {
        let (from, to) = if index % 2 == 0 { (&alice, &server) } else { (&server, &alice) };
        writer.row(&mut out, from, to, Wall(START.0 + index * 5_000_000));
    }
    if let Some(cause) = end {
        writer.footer(&mut out, Duration::from_secs(192), cause);
    }
    out
}

fn fault(content: &[u8]) -> (u64, TableFault) {
    let error = read_table(content).unwrap_err();
    (error.line, error.fault)
}

/// The fault of a table whose first row is `row`.
fn row_fault(row: &str) -> TableFault {
    let (line, fault) = fault(format!("{HEADER}{row}\n").as_bytes());
    assert_eq!(line, 5);
    fault
}

#[test]
fn a_whole_table_is_read() {
    let facts = read_table(&table(3, Some(None))).unwrap();
    let expected = TableFacts {
        rows: 3,
        complete: Some(End { elapsed: "3 minutes 12 seconds".to_owned(), cause: None }),
        torn_tail: false,
        pairs: BTreeMap::from([((ip(ALICE), ip(SERVER)), 2), ((ip(SERVER), ip(ALICE)), 1)]),
        first: Some(START),
        last: Some(Wall(START.0 + 10_000_000)),
    };
    assert_eq!(facts, expected);
    let cut_short = read_table(&table(0, Some(Some("disk full")))).unwrap();
    assert_eq!(cut_short.complete.unwrap().cause.unwrap(), "disk full");
    assert_eq!((cut_short.rows, cut_short.first), (0, None));
}

#[test]
fn rows_come_back_as_they_were_written() {
    let content = table(2, None);
    let rows: Vec<Row> = Rows::new(&content).unwrap().map(Result::unwrap).collect();
    let (alice, server) = (ip(ALICE), ip(SERVER));
    let second = Wall(START.0 + 5_000_000);
    assert_eq!(
        rows,
        [
            Row { number: 1, sender: alice, receiver: server, stamp: START },
            Row { number: 2, sender: server, receiver: alice, stamp: second },
        ]
    );
}

#[test]
fn a_table_without_an_end_is_no_error() {
    let died = read_table(&table(3, None)).unwrap();
    assert_eq!((died.rows, died.complete, died.torn_tail), (3, None, false));
    let mut torn = table(3, None);
    torn.extend_from_slice(&[0; 4096]);
    let torn = read_table(&torn).unwrap();
    assert_eq!((torn.rows, torn.complete, torn.torn_tail), (3, None, true));
    assert_eq!(read_table(b"").unwrap(), TableFacts::default());
}

#[test]
fn every_line_of_the_header_counts() {
    for (index, (at, _)) in HEADER.match_indices('\n').enumerate() {
        let mut changed = HEADER.to_owned();
        changed.insert(at, ' ');
        assert_eq!(fault(changed.as_bytes()), (index as u64 + 1, TableFault::Header));
    }
    assert_eq!(fault(HEADER.replace('\n', "\r\n").as_bytes()), (1, TableFault::Header));
}

#[test]
fn rows_have_one_form() {
    for row in [
        "| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789",
        "| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789 | ",
        "| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789 |\r",
        "| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 |",
        "| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789 | x |",
        "|1|10.0.0.7|10.0.0.1|2026-11-21|02:53:00.123456789|",
        " ",
        "| |",
        "x",
    ] {
        assert_eq!(row_fault(row), TableFault::Row, "{row:?}");
    }
}

#[test]
fn cells_have_one_form() {
    let row = |number: &str, sender: &str, receiver: &str, date: &str, time: &str| {
        row_fault(&format!("| {number} | {sender} | {receiver} | {date} | {time} |"))
    };
    let (date, time) = ("2026-11-21", "02:53:00.123456789");
    for number in ["0", "2", "01", "+1", "", "a"] {
        assert_eq!(row(number, ALICE, SERVER, date, time), TableFault::Number { expected: 1 }, "{number}");
    }
    for wrong in ["", "10.0.0", "010.0.0.7", "::ffff:10.0.0.7", "2001:db8:0::1", "2001:DB8::1", "localhost"] {
        assert_eq!(row("1", wrong, SERVER, date, time), TableFault::Sender, "{wrong}");
        assert_eq!(row("1", ALICE, wrong, date, time), TableFault::Receiver, "{wrong}");
    }
    for wrong in
        ["2026-11-2", "2026-02-29", "2026-13-01", "1969-12-31", "9999-12-31", "2554-07-22", "26-11-2100"]
    {
        assert_eq!(row("1", ALICE, SERVER, wrong, time), TableFault::Date, "{wrong}");
    }
    for wrong in
        ["02:53:00", "24:00:00.000000000", "02:60:00.000000000", "02:53:60.000000000", "2:53:00.1234567890"]
    {
        assert_eq!(row("1", ALICE, SERVER, date, wrong), TableFault::Time, "{wrong}");
    }
}

#[test]
fn numbers_have_no_gap() {
    let text = String::from_utf8(table(4, None)).unwrap();
    let gap = text.replace("| 3 | ", "| 4 | ");
    assert_eq!(fault(gap.as_bytes()), (7, TableFault::Number { expected: 3 }));
}

#[test]
fn the_last_line_has_one_form() {
    let end = |end: &str| fault(format!("{HEADER}\n{end}\n").as_bytes());
    for wrong in [
        "",
        "_End of Timestamp Data_",
        "_End of Timestamp Data (after 5 minute)_",
        "_End of Timestamp Data (after 1 minutes)_",
        "_End of Timestamp Data (after 60 seconds)_",
        "_End of Timestamp Data (after 5 minutes 0 seconds)_",
        "_End of Timestamp Data (after 5 minutesss)_",
        "_End of Timestamp Data (after )_",
        "_End of Timestamp Data (after 5 minutes: )_",
        "_End of Timestamp Data (after 5 minutes: a)b)_",
        "_End of Timestamp Data (after 99999999999999999999 hours)_",
        "| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | 02:53:00.123456789 |",
    ] {
        assert_eq!(end(wrong), (6, TableFault::End), "{wrong}");
    }
    let mut more = table(1, Some(None));
    more.extend_from_slice(b"\n");
    assert_eq!(fault(&more), (8, TableFault::AfterEnd));
}

#[test]
fn an_error_ends_the_rows() {
    let broken = String::from_utf8(table(4, None)).unwrap().replace("| 3 | ", "| x | ");
    assert_eq!(Rows::new(broken.as_bytes()).unwrap().count(), 3);
}

proptest! {
    #[test]
    fn every_duration_of_a_run_is_read_back(millis in 0..800_000_000_u64) {
        let words = Words(Duration::from_millis(millis)).to_string();
        prop_assert_eq!(Words(parse_words(&words).unwrap()).to_string(), words);
    }

    #[test]
    fn any_stamp_and_address_is_read_back(stamp: u64, sender: IpAddr, receiver: IpAddr) {
        let mut content = HEADER.as_bytes().to_vec();
        TableWriter::new().row(&mut content, &sender.into(), &receiver.into(), Wall(stamp));
        let row = Rows::new(&content).unwrap().next().unwrap().unwrap();
        let (sender, receiver) = (sender.to_canonical(), receiver.to_canonical());
        prop_assert_eq!(row, Row { number: 1, sender, receiver, stamp: Wall(stamp) });
    }

    #[test]
    fn a_table_cut_anywhere_is_read(rows in 0..6_u64, cut in any::<prop::sample::Index>()) {
        let whole = table(rows, Some(Some("interrupted")));
        let len = cut.index(whole.len());
        let facts = read_table(&whole[..len]).unwrap();
        let unit = if len < HEADER.len() { 0 } else { table(facts.rows, None).len() };
        prop_assert!(facts.complete.is_none() && facts.rows <= rows);
        prop_assert!(len >= unit && (facts.rows == rows || len < table(facts.rows + 1, None).len()));
        prop_assert_eq!(facts.torn_tail, len > unit);
    }

    #[test]
    fn a_damaged_table_is_survived(
        rows in 0..6_u64,
        at in any::<prop::sample::Index>(),
        gone in 0..40_usize,
        new in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut content = table(rows, Some(None));
        let at = at.index(content.len());
        let end = (at + gone).min(content.len());
        content.splice(at..end, new);
        if let Ok(facts) = read_table(&content) {
            prop_assert!(facts.rows <= rows + 1);
        }
    }

    #[test]
    fn one_flipped_bit_is_found_or_is_a_value(rows in 1..5_u64, at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let good = table(rows, Some(None));
        let mut content = good.clone();
        let at = at.index(content.len());
        content[at] ^= 1 << bit;
        if let Ok(facts) = read_table(&content) {
            // Digits and letters of values may become others; the very last LF may get lost.
            prop_assert!(facts.rows == rows);
            prop_assert!(good[at].is_ascii_alphanumeric() || at == good.len() - 1);
        }
    }

    #[test]
    fn any_bytes_are_survived(mut content in prop::collection::vec(any::<u8>(), 0..300), headed in any::<bool>()) {
        if headed {
            content.splice(0..0, HEADER.bytes());
        }
        let _ = read_table(&content);
    }

    #[test]
    fn bytes_that_look_like_a_table_are_survived(content in "(\\| [0-9a-f:.-]{0,3} ?){0,12}\n?") {
        let _ = read_table(format!("{HEADER}{content}").as_bytes());
    }
}
