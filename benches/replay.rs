//! Replay: recorded events through rules, as fast as they go.
//!
//! A million JSON lines of the form of `benches/matching.rs`, through 100 rules with windows and groups, alone and
//! against changed rules, on one thread that matches and on as many as there are processors.
//!
//! `cargo bench --bench replay`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

use std::fmt::Write as _;
use std::io::Read;
use std::time::Instant;

use paramedic::engine::replay::{self, Options};
use paramedic::rules::{Known, RuleSet, SourceFile, compile};

const EVENTS: u64 = 1_000_000;
const RULES: u64 = 100;

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (old, new) = (rules(3), rules(2));
    println!("replay of {EVENTS} events, {RULES} rules, {processors} processors\n");
    println!("| threads that match | against | seconds | events/s | intents | peak memory |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (threads, against) in [(1, false), (processors, false), (processors, true)] {
        let sets = if against { vec![old.clone(), new.clone()] } else { vec![old.clone()] };
        let options = Options { threads, ..Options::default() };
        let began = Instant::now();
        let report = replay::file(&sets, &options, "bench", &mut Lines::new()).unwrap();
        let took = began.elapsed().as_secs_f64();
        let intents: u64 = report.side.rules.iter().map(|sum| sum.intents).sum();
        assert_eq!(report.events.count, EVENTS);
        println!(
            "| {threads} | {} | {took:.2} | {:.0} | {intents} | {} MB |",
            if against { "yes" } else { "no" },
            EVENTS as f64 / took,
            peak() >> 10
        );
    }
}

fn rules(count: u32) -> RuleSet {
    let mut text = String::from("rules:\n");
    for n in 0..RULES {
        let topic = format!("group{}.kind{}", n % 10, n / 10 % 5);
        writeln!(
            text,
            "  - name: r{n}\n    on: {topic}\n    when: data.kernel != \"kernel-{n}\" && data.boot_duration_ms > {}\n    group_by: data.kernel\n    pattern: {{ count: {count}, within: 5m }}\n    intent: {{ target: \"${{data.kernel}}\" }}\n    resolved: {{ on: group{}.ok }}\n    verify: {{ expect: group{}.ok, when: subject == target, within: 1m }}\n    playbooks: fix",
            4_000 + n, n % 10, n % 10,
        )
        .unwrap();
    }
    let compiled =
        compile(&[SourceFile { path: "bench.yaml".into(), text }], &Known { playbooks: &["fix".into()] });
    compiled.set.unwrap_or_else(|| panic!("{}", compiled.diagnostics[0]))
}

/// The lines, made as they are read, so that memory is that of the replay.
struct Lines {
    next: u64,
    rest: Vec<u8>,
    at: usize,
}

impl Lines {
    fn new() -> Self {
        Self { next: 0, rest: Vec::new(), at: 0 }
    }

    fn make(&mut self) {
        self.rest.clear();
        self.at = 0;
        let mut text = String::new();
        for n in self.next..(self.next + 2_000).min(EVENTS) {
            let dice = mix(n);
            let (s, kernel) = (n / 200, dice % 1_000);
            let kind = ["kind0", "kind1", "kind2", "kind3", "kind4", "ok"][(dice >> 12) as usize % 6];
            writeln!(
                text,
                "{{\"id\":\"evt-{n:07}\",\"topic\":\"group{}.{kind}\",\"source\":\"stress_test\",\"subject\":\"kernel-{kernel}\",\"time\":\"2026-11-23T{:02}:{:02}:{:02}.{:03}Z\",\"data\":{{\"kernel\":\"kernel-{kernel}\",\"error\":\"timeout\",\"boot_duration_ms\":{},\"attempt\":{}}}}}",
                (dice >> 20) % 10,
                s / 3_600,
                s / 60 % 60,
                s % 60,
                n % 200 * 5,
                100 + (dice >> 28) % 4_900,
                1 + (dice >> 50) % 5
            )
            .unwrap();
        }
        self.next = (self.next + 2_000).min(EVENTS);
        self.rest = text.into_bytes();
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.rest.len() {
            self.make();
        }
        let n = into.len().min(self.rest.len() - self.at);
        into[..n].copy_from_slice(&self.rest[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// The mixing of SplitMix64: the same numbers everywhere.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Most resident memory of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
