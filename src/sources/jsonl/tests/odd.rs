//! What crashing programs, editors and other systems leave in files: not a line of it is lost or waits unseen.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::*;

#[test]
fn a_byte_order_mark_costs_no_line() {
    let folder = Folder::new();
    folder.append("a.jsonl", format!("\u{feff}{}", lines(0..2)));
    folder.append("b.jsonl", format!("\u{feff}{}", line(2).trim_end()));
    folder.append("c.jsonl", b"\xff\xfe{\0\n\0");
    let found = long(&mut folder.follow(&[]));
    let mut events = topics(&found.events);
    events.sort();
    assert_eq!(events, numbers(0..3));
    assert!(found.mishap.unwrap().contains("UTF-16"));
}

#[test]
fn a_rewrite_of_the_same_length_is_noticed() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    // Longer than what the marks cover, with a change at the end, at the start, and in a line that never ended.
    for (text, changed) in [
        (lines(1000..2000), lines(1000..1999) + line(2999).as_str()),
        (lines(1000..2000), line(2999) + lines(1001..2000).as_str()),
        (line(1).trim_end().to_owned(), line(2).trim_end().to_owned()),
    ] {
        assert_eq!(text.len(), changed.len());
        fs::write(folder.path("a.jsonl"), &text).unwrap();
        long(&mut followers);
        // The clock of the file system goes in steps of some milliseconds.
        let before = fs::metadata(folder.path("a.jsonl")).unwrap().modified().unwrap();
        fs::write(folder.path("a.jsonl"), &changed).unwrap();
        let file = OpenOptions::new().append(true).open(folder.path("a.jsonl")).unwrap();
        file.set_modified(before + Duration::from_millis(20)).unwrap();
        let found = topics(&long(&mut followers).events);
        assert_eq!(found.len(), changed.lines().count(), "{found:?}");
    }
}

#[test]
fn a_last_line_without_its_newline_comes_if_it_is_whole_and_is_told_if_not() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", line(0) + line(1).trim_end());
    folder.append("b.jsonl", "{\"topic\":\"t.n2\"");
    let found = long(&mut followers);
    assert_eq!(topics(&found.events), numbers(0..2));
    let waiting: Vec<&String> = found.wrong.values().collect();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].contains("b.jsonl ends in 15 bytes without a newline at byte 0"), "{waiting:?}");
    folder.append("a.jsonl", format!("\n{}", line(3)));
    folder.append("b.jsonl", "}\n");
    let found = long(&mut followers);
    let mut events = topics(&found.events);
    events.sort();
    assert_eq!((events, found.wrong.len(), found.bad_lines), (numbers(2..4), 0, 0));
}

#[test]
fn nuls_cost_no_line_wherever_a_crash_or_a_truncation_left_them() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", lines(0..3));
    assert_eq!(all(&mut followers).len(), 3);
    // A writer that does not append goes on at its own place after the file was cut.
    let file = OpenOptions::new().write(true).open(folder.path("a.jsonl")).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(all(&mut followers).len(), 0);
    file.write_all_at(lines(3..5).as_bytes(), 700_000).unwrap();
    assert_eq!(topics(&all(&mut followers)), numbers(3..5));
    // Blocks that never reached the disk.
    folder.append("a.jsonl", [line(5).as_bytes(), &[0; 4096], line(6).as_bytes()].concat());
    assert_eq!(topics(&all(&mut followers)), numbers(5..7));
    // A writer that reserves room first.
    let end = file.metadata().unwrap().len();
    file.set_len(end + (4 << 20)).unwrap();
    for n in 7..9 {
        assert_eq!(all(&mut followers), [], "NULs at the end are room that is not written yet");
        file.write_all_at(line(n).as_bytes(), end + u64::from(n - 7) * line(n).len() as u64).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.set_modified(before + Duration::from_secs(1)).unwrap();
        assert_eq!(topics(&all(&mut followers)), numbers(n..n + 1));
    }
}

#[test]
fn lines_that_are_no_events_are_passed_over_as_fast_as_they_can_be_read() {
    let folder = Folder::new();
    folder.append("a.jsonl", "INFO all is well, as it was a second ago\n".repeat(200_000) + line(1).as_str());
    let mut followers = folder.follow(&[]);
    let (start, mut looks, mut bad) = (Instant::now(), 0, 0);
    loop {
        let batch = followers.poll(micros(0));
        looks += 1;
        bad += batch.bad_lines;
        if !batch.events.is_empty() {
            break;
        }
        assert!(batch.news, "a look that read something is followed by the next one at once");
    }
    assert_eq!(bad, 200_000);
    println!("{looks} looks, {:?} for 8 MB", start.elapsed());
}
