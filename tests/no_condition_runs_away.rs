//! Whatever a condition does with whatever event, it neither holds matching up nor takes much memory: what would is
//! cut off, is false, and says why.
//!
//! Random conditions meet random events, long ones among them, under a ceiling on time and on what they allocate. A few
//! seconds of it run here; `PARAMEDIC_FUZZ_SECONDS=600` makes it longer and `PARAMEDIC_FUZZ_SEED` another one.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the allocator is counted, and a test may stop at anything"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use paramedic::condition::{Template, View, compile};
use paramedic::model::{Event, Topic, clock};
use serde_json::{Value, json};

/// What one evaluation may have allocated at once, beside the event itself: what it builds, twice (the old and the new),
/// and the compiled patterns.
const CEILING: usize = 48 << 20;
/// What one evaluation may take here: a build without optimization on a busy machine.
const DEADLINE: Duration = Duration::from_secs(3);

struct Counted;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn add(bytes: usize) {
    // Nothing is counted while the thread is taken down.
    let now = NOW.try_with(|now| {
        now.set(now.get().wrapping_add(bytes));
        now.get()
    });
    // What was there before and is freed makes it less than nothing.
    if let Some(now) = now.ok().filter(|now| *now < usize::MAX / 2) {
        PEAK.try_with(|peak| peak.set(peak.get().max(now))).unwrap_or_default();
    }
}

unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        add(0_usize.wrapping_sub(layout.size()));
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// The most that `work` had allocated at once, how long it took, and what it answered.
fn measured<T>(work: impl FnOnce() -> T) -> (usize, Duration, T) {
    NOW.set(0);
    PEAK.set(0);
    let begun = Instant::now();
    let answer = work();
    (PEAK.get(), begun.elapsed(), answer)
}

fn event(data: Value) -> Event {
    Event::new("1", Topic::try_new("a.b").unwrap(), "s", clock::micros(1_700_000_000_000_000), data)
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % n
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const PATHS: &[&str] = &[
    "data.text",
    "data.text",
    "data.letter",
    "data.words",
    "data.list",
    "data.nodes",
    "data.down",
    "data.deep",
    "data",
    "event",
    "data.n",
    "data.f",
    "data.zz",
    "data.nodes[7].name",
    "data.pattern",
    "data.escapes",
    "topic",
    "time",
    "data.list[3]",
    "data.text[5]",
    "data.text[1..9000]",
    "data.maps",
];
const LITERALS: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"aa\"",
    "'a'",
    "7",
    "0.5",
    "()",
    "[]",
    "[1, \"a\"]",
    "#{a: 1}",
    "true",
    "\"(a+)+$\"",
    "`x${data.text}y`",
];
const ONE: &[&str] = &[
    "len",
    "to_lower",
    "to_upper",
    "trim",
    "to_string",
    "split",
    "keys",
    "values",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "unique",
    "is_empty",
    "exists",
    "type_of",
    "to_int",
    "to_float",
    "age",
    "time",
    "duration",
    "hour",
    "abs",
    "floor",
    "-",
    "!",
];
const TWO: &[&str] = &[
    "contains",
    "starts_with",
    "ends_with",
    "matches",
    "imatches",
    "like",
    "ilike",
    "iequals",
    "icontains",
    "istarts_with",
    "split",
    "index_of",
    "join",
    "sub_string",
    "min",
    "max",
    "hour",
];
const SIGNS: &[&str] =
    &["+", "-", "*", "/", "%", "**", "==", "!=", "<", ">=", "in", "!in", "??", "&&", "||", "&", "|", "<<"];
const ASKED: &[&str] = &["any", "all", "none", "count", "filter", "map"];

fn expression(dice: &mut Dice, depth: usize, locals: &[&'static str]) -> String {
    if depth == 0 || dice.below(6) == 0 {
        return match dice.below(10) {
            0..=5 => dice.of(PATHS).into(),
            6 | 7 if !locals.is_empty() => {
                let local = locals[dice.below(locals.len())];
                if dice.below(2) == 0 { local.into() } else { format!("{local}.name") }
            }
            _ => dice.of(LITERALS).into(),
        };
    }
    let next = |dice: &mut Dice| expression(dice, depth - 1, locals);
    match dice.below(12) {
        0..=2 => format!("{}({})", dice.of(ONE), next(dice)),
        3 | 4 => format!("{}({}, {})", dice.of(TWO), next(dice), next(dice)),
        5 => format!("replace({}, {}, {})", next(dice), next(dice), next(dice)),
        6 | 7 => format!("({} {} {})", next(dice), dice.of(SIGNS), next(dice)),
        8 | 9 => format!("[{}, {}]", next(dice), next(dice)),
        _ => {
            let name = ["x", "y", "z"][locals.len().min(2)];
            let inner: Vec<&'static str> = locals.iter().copied().chain([name]).collect();
            let (list, ask) = (next(dice), dice.of(ASKED));
            format!("{ask}({list}, |{name}| {})", expression(dice, depth - 1, &inner))
        }
    }
}

fn payloads() -> Vec<Value> {
    let name = |n: usize| format!("node-{n:05}");
    let large = json!({
        "text": "a".repeat(40_000), "letter": "a", "words": "word ".repeat(20_000), "escapes": "\u{1}\"\\".repeat(30_000),
        "list": (0..8_000).collect::<Vec<usize>>(), "n": 7, "f": 0.5, "pattern": "(a?){50}(\\w+b)*",
        "nodes": (0..8_000).map(|n| json!({"name": name(n), "n": n})).collect::<Vec<_>>(),
        "down": (0..8_000).map(|n| name(n + 100_000)).collect::<Vec<_>>(),
        "maps": (0..300).map(|n| json!({"tags": (0..20).map(name).collect::<Vec<_>>(), "n": n})).collect::<Vec<_>>(),
        "deep": (0..60).fold(json!(1), |deep, _| json!([deep])),
    });
    let small = json!({
        "text": "abc", "letter": "a", "words": "a b", "list": [1, 2], "nodes": [{"name": "a"}], "down": ["a"], "n": 1,
        "f": 1.5, "pattern": "a+", "deep": [[1]], "escapes": "\n", "maps": [],
    });
    vec![large, small]
}

#[test]
fn random_conditions_over_long_events_stay_within_time_and_memory() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |it| it.parse().unwrap());
    let mut dice = Dice(number("PARAMEDIC_FUZZ_SEED", 0x9e37_79b9_7f4a_7c15) | 1);
    let end = Instant::now() + Duration::from_secs(number("PARAMEDIC_FUZZ_SECONDS", 4));
    let events: Vec<Event> = payloads().into_iter().map(event).collect();
    let (mut tried, mut answered, mut cut) = (0_u64, 0_u64, 0_u64);
    let (mut most, mut longest) = (0, Duration::ZERO);
    while Instant::now() < end {
        let text = expression(&mut dice, 4, &[]);
        let Ok(condition) = compile(&text, &[]) else { continue };
        for event in &events {
            let view = View::new(event, &[]);
            view.data();
            let (peak, took, answer) = measured(|| condition.value_in(&view));
            assert!(peak < CEILING, "{} MiB for {text}", peak >> 20);
            assert!(took < DEADLINE, "{took:?} for {text}");
            (most, longest) = (most.max(peak), longest.max(took));
            tried += 1;
            answered += u64::from(answer.is_ok());
            cut += u64::from(answer.is_err_and(|error| error.to_string().contains("than a condition may")));
        }
    }
    println!(
        "{tried} evaluations, {answered} answered, {cut} cut off; at most {} KiB, {longest:?}",
        most >> 10
    );
    assert!(answered * 10 > tried && cut * 1_000 > tried, "{answered} answered and {cut} cut off of {tried}");
}

#[test]
fn what_once_ended_or_held_up_an_engine_is_cut_off_and_says_why() {
    let name = |n: usize| format!("n{n}");
    let text = "a".repeat(40_000);
    let event = event(json!({
        "message": text, "user": "a", "alias": text, "empty": "", "words": "a ".repeat(4_500),
        "nodes": (0..8_000).map(|n| json!({"name": name(n)})).collect::<Vec<_>>(),
        "down": (0..8_000).map(|n| name(n + 10_000)).collect::<Vec<_>>(),
        "long": vec!["x".repeat(100); 8_000], "regex": "(\\pL{1,50}){1,50}$", "huge": "((a{1,99}){1,99}){1,99}",
    }));
    let repeated = |part: &str, times: usize, by: &str| vec![part; times].join(by);
    for text in [
        "data.message.replace(data.user, data.alias) == \"\"".to_owned(),
        "data.nodes.any(|n| data.message.replace(data.user, data.alias) == n.name)".into(),
        "data.nodes.any(|n| n.name in data.down)".into(),
        "any(data.nodes, |n| data.down.contains(n.name))".into(),
        "data.nodes.all(|n| data.down.index_of(n.name) == -1)".into(),
        "data.nodes.all(|n| data.nodes == data.nodes)".into(),
        "data.nodes.all(|n| data != event)".into(),
        "data.nodes.map(|n| data.alias + data.message).len() > 1".into(),
        "data.nodes.map(|n| data.words.split(\" \")).len() > 1".into(),
        "data.nodes.map(|n| to_string(data.long)).len() > 1".into(),
        "data.long.join(data.alias) == \"\"".into(),
        "data.message.replace(data.empty, data.alias) == \"\"".into(),
        "data.nodes.any(|n| data.message.matches(data.regex))".into(),
        "data.nodes.any(|n| n.name.matches(data.huge + n.name))".into(),
        "data.nodes.all(|n| data.message.icontains(n.name) == false)".into(),
        "data.nodes.all(|n| data.nodes.map(|m| m.name).unique().len() > 1)".into(),
        format!("({}) == \"\"", repeated("data.message", 100, " + ")),
        repeated("to_string(data).to_upper().len() < 1", 60, " || "),
    ] {
        let condition = compile(&text, &[]).unwrap_or_else(|error| panic!("{text:.80}: {error}"));
        let view = View::new(&event, &[]);
        view.data();
        let (peak, took, answer) = measured(|| condition.test_in(&view));
        println!("{:>6} KiB {took:>12.1?}  {:.80}", peak >> 10, text);
        let error = answer.expect_err(&text).to_string();
        assert!(error.contains("than a condition may"), "{text:.80}: {error}");
        assert!(peak < CEILING && took < DEADLINE, "{} MiB and {took:?} for {text:.80}", peak >> 20);
    }
    let template = Template::compile(&"${data}".repeat(2_000), &[]).unwrap();
    let (peak, took, answer) = measured(|| template.render(&event, &[]));
    assert!(answer.unwrap_err().to_string().contains("than a condition may"));
    assert!(peak < CEILING && took < DEADLINE, "{} MiB and {took:?} for a template", peak >> 20);
}

#[test]
fn what_people_ask_of_long_events_is_still_answered() {
    let event = event(json!({
        "message": "x".repeat(1 << 20) + " out of memory", "n": 3,
        "nodes": (0..8_000).map(|n| json!({"name": format!("n{n}"), "up": n != 7_999})).collect::<Vec<_>>(),
        "down": (0..100).map(|n| format!("d{n}")).collect::<Vec<_>>(),
    }));
    for (text, expected) in [
        ("data.message.contains(\"out of memory\")", true),
        ("data.message.matches(\"out of [a-z]+$\")", true),
        ("data.message.len() > 1000", true),
        ("data.nodes.any(|n| !n.up)", true),
        ("data.nodes.any(|n| n.name in data.down)", false),
        ("data.nodes.count(|n| n.name.starts_with(\"n1\")) > 10", true),
        ("data.nodes.map(|n| n.name).unique().len() == 8000", true),
        ("data.nodes.filter(|n| !n.up).first().name == \"n7999\"", true),
        ("data.message.replace(\" out of memory\", \"\").len() == 1048576", true),
    ] {
        assert_eq!(compile(text, &[]).unwrap().test(&event, &[]), Ok(expected), "{text}");
    }
}
