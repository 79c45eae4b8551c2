//! P1: JSON event in, decision out, through the real rule engine, for 10 to 10,000 rules.
//!
//! Beside it, in the same run: an ideal hash index written for exactly these rules, with a serde struct of exactly
//! these fields, SEC with hash dispatch, if `sec` is installed, and ansible-rulebook, if `ANSIBLE_PYTHON` names a
//! Python that has it. Figures are events per second of processor time,
//! medians of several runs; on a shared machine only their ratios say much.
//!
//! `cargo bench --bench matching`. The workload is taken from `$BENCH_DIR/data` if it is there, made by
//! `../shared/bench/match/gen.py` if that and Python are, and else by a generator of the same form in here.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use paramedic::rules::{Known, RuleSet, Scratch, SourceFile, compile};
use serde::Deserialize;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const EVENTS: usize = 200_000;
const SEC_EVENTS: usize = 50_000;
const RUNS: usize = 7;

/// A rule in the neutral form of the workload.
#[derive(Clone, Deserialize)]
struct Neutral {
    name: String,
    topic_op: String,
    topic: String,
    kernel: String,
    gt: u64,
}

struct Workload {
    rules: Vec<Neutral>,
    lines: Vec<String>,
}

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("P1 matching: events per second of processor time, median of {RUNS} runs of {EVENTS} events\n");
    println!(
        "| rules | Paramedic | ns/event | ideal index + serde struct | ratio | SEC, hash dispatch | times SEC | ansible-rulebook | times it | fires | compiled in | memory |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut costs = Vec::new();
    for size in SIZES {
        let work = workload(size);
        let (before, started) = (memory(), std::time::Instant::now());
        let set = rule_set(&work.rules);
        let (compiled, memory) = (started.elapsed(), memory().saturating_sub(before));
        let ideal = Ideal::new(&work.rules);
        let mut scratch = Scratch::default();
        let (mut ours, mut best, mut fires) = (Vec::new(), Vec::new(), (0, 0));
        for _ in 0..RUNS {
            ours.push(rate(work.lines.len(), || fires.0 = run(&set, &mut scratch, &work.lines)));
            best.push(rate(work.lines.len(), || {
                fires.1 = work.lines.iter().map(|line| ideal.fires(line)).sum()
            }));
        }
        assert_eq!(fires.0, fires.1, "the two must agree on what fires");
        let (ours, best) = (median(ours), median(best));
        let sec = sec(&work);
        let rulebook = rulebook(size);
        costs.push(1.0 / ours);
        println!(
            "| {size} | {ours:.0} | {:.0} | {best:.0} | {:.2} | {} | {} | {} | {} | {} | {} ms | {} MB |",
            1e9 / ours,
            ours / best,
            sec.map_or("–".into(), |n| format!("{n:.0}")),
            sec.map_or("–".into(), |n| format!("{:.0}", ours / n)),
            rulebook.map_or("–".into(), |n| format!("{n:.0}")),
            rulebook.map_or("–".into(), |n| format!("{:.0}", ours / n)),
            fires.0,
            compiled.as_millis(),
            memory >> 10,
        );
    }
    println!("\nCost of 10,000 rules over that of 10: {:.2}", costs[3] / costs[0]);
    println!(
        "Seen elsewhere (November 2026, 2 cores): ansible-rulebook 1,010 / 1,099 / 631 / none; SEC 46,514 / – / 40,818 / 18,019;"
    );
    println!("one Rhai expression a rule 127,455 / 25,591 / 2,249 / 95.");
}

fn run(set: &RuleSet, scratch: &mut Scratch, lines: &[String]) -> u64 {
    lines.iter().map(|line| set.hits_json(line.as_bytes(), scratch).unwrap().len() as u64).sum()
}

/// The rules as a person would write them.
fn rule_set(rules: &[Neutral]) -> RuleSet {
    let mut text = String::from("rules:\n");
    for rule in rules {
        let tail = if rule.topic_op == "prefix" { ">" } else { "" };
        writeln!(
            text,
            "  - name: {}\n    on: {}{tail}\n    when: data.kernel == \"{}\" && data.boot_duration_ms > {}\n    playbooks: fix",
            rule.name, rule.topic, rule.kernel, rule.gt
        )
        .unwrap();
    }
    let file = SourceFile { path: "bench.yaml".into(), text };
    let compiled = compile(&[file], &Known { playbooks: &["fix".into()] });
    compiled.set.unwrap_or_else(|| panic!("{}", compiled.diagnostics[0]))
}

// ── the ideal: an index for exactly these rules, a struct for exactly these events ──

type Map<'r, V> = HashMap<&'r str, V, ahash::RandomState>;

struct Ideal<'r> {
    equal: Map<'r, Map<'r, Vec<u64>>>,
    prefix: Map<'r, Map<'r, Vec<u64>>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "id")]
    _id: &'a str,
    topic: &'a str,
    #[serde(rename = "source")]
    _source: &'a str,
    #[serde(rename = "time")]
    _time: &'a str,
    #[serde(rename = "severity")]
    _severity: &'a str,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    kernel: &'a str,
    #[serde(rename = "error")]
    _error: &'a str,
    boot_duration_ms: u64,
    #[serde(rename = "attempt")]
    _attempt: u32,
}

impl<'r> Ideal<'r> {
    fn new(rules: &'r [Neutral]) -> Self {
        let mut ideal = Self { equal: Map::default(), prefix: Map::default() };
        for rule in rules {
            let map = if rule.topic_op == "eq" { &mut ideal.equal } else { &mut ideal.prefix };
            map.entry(&rule.topic).or_default().entry(&rule.kernel).or_default().push(rule.gt);
        }
        ideal
    }

    fn fires(&self, line: &str) -> u64 {
        let event: Event<'_> = serde_json::from_slice(line.as_bytes()).unwrap();
        let payload = &event.payload;
        let count = |map: Option<&Map<'_, Vec<u64>>>| {
            let limits = map.and_then(|kernels| kernels.get(payload.kernel));
            limits
                .map_or(0, |limits| limits.iter().filter(|gt| payload.boot_duration_ms > **gt).count() as u64)
        };
        let dots = event.topic.match_indices('.');
        let prefixes: u64 = dots.map(|(dot, _)| count(self.prefix.get(&event.topic[..=dot]))).sum();
        black_box(count(self.equal.get(event.topic)) + prefixes)
    }
}

// ── SEC ──

/// Events per second of processor time of SEC with these rules, if `sec` is installed.
fn sec(work: &Workload) -> Option<f64> {
    let dir = std::env::temp_dir().join(format!("paramedic-bench-sec-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let control =
        "type=Single\nptype=RegExp\npattern=\"topic\":\"(WARM|END)\"\ndesc=ctl\naction=write - $1\n\n";
    let jump = "type=Jump\nptype=RegExp\npattern=\"kernel\":\"(kernel-\\d+)\"\ncfset=$1\nconstset=no\n";
    std::fs::write(dir.join("main.conf"), format!("{control}{jump}")).unwrap();
    let mut by_kernel: HashMap<&str, String> = HashMap::new();
    for rule in &work.rules {
        let text = by_kernel
            .entry(&rule.kernel)
            .or_insert_with(|| format!("type=Options\njoincfset={}\nprocallin=no\n\n", rule.kernel));
        let topic = rule.topic.replace('.', "\\.");
        let tail = if rule.topic_op == "eq" { "" } else { "[^\"]*" };
        writeln!(
            text,
            "type=Single\nptype=RegExp\npattern=^\\{{\"id\":\"([^\"]+)\",\"topic\":\"{topic}{tail}\",.*\"kernel\":\"{}\",.*\"boot_duration_ms\":(\\d+)\ncontinue=TakeNext\ncontext= =( $2 > {} )\ndesc={}\naction=write - FIRE $1\n",
            rule.kernel, rule.gt, rule.name
        )
        .unwrap();
    }
    for (kernel, text) in &by_kernel {
        std::fs::write(dir.join(format!("set-{kernel}.conf")), text).unwrap();
    }
    let rate = feed(&dir, &work.lines[..work.lines.len().min(SEC_EVENTS)]);
    std::fs::remove_dir_all(&dir).unwrap();
    rate
}

fn feed(dir: &Path, lines: &[String]) -> Option<f64> {
    let mut child = Command::new("sec")
        .arg(format!("--conf={}", dir.join("main.conf").display()))
        .arg(format!("--conf={}", dir.join("set-*.conf").display()))
        .args(["--input=-", "--nointevents", "--bufsize=1", "--log=/dev/null", "--debug=3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let pid = child.id();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    input.write_all(b"{\"topic\":\"WARM\"}\n").unwrap();
    output.by_ref().map_while(Result::ok).find(|line| line == "WARM")?;
    let before = ticks(pid)?;
    let all = lines.join("\n") + "\n{\"topic\":\"END\"}\n";
    let feeder = std::thread::spawn(move || {
        // A reader that goes away early is no matter here.
        input.write_all(all.as_bytes()).ok();
        input
    });
    output.by_ref().map_while(Result::ok).find(|line| line == "END")?;
    let spent = ticks(pid)? - before;
    drop(feeder.join());
    child.kill().unwrap();
    child.wait().unwrap();
    Some(lines.len() as f64 / spent)
}

/// ansible-rulebook by the runner that lies beside the checkout, where both are there: `$ANSIBLE_PYTHON` is the Python
/// of an environment that has it.
fn rulebook(size: usize) -> Option<f64> {
    let python = std::env::var_os("ANSIBLE_PYTHON")?;
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/bench/match/eda_bench.py");
    if size > 1_000 || !runner.exists() {
        // With 10,000 rules it had handled nothing after five minutes.
        return None;
    }
    let dir = std::env::var_os("BENCH_DIR")
        .map_or_else(|| std::env::temp_dir().join("paramedic-bench"), PathBuf::from);
    let ran = Command::new(python)
        .arg(runner)
        .args([&size.to_string(), "2000", "1", "50"])
        .env("BENCH_DIR", dir)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let rate =
        text.split_whitespace().find_map(|word| word.strip_prefix("ev_per_cpu_s=")?.parse::<f64>().ok());
    rate.filter(|rate| rate.is_finite())
}

// ── measuring ──

/// Processor seconds of another process, in hundredths.
fn ticks(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some((fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?) / 100.0)
}

/// Processor seconds of this thread.
fn spent() -> f64 {
    let exact = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let exact = exact.and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).filter(|ns| *ns > 0.0);
    exact.map(|ns| ns / 1e9).or_else(|| ticks(std::process::id())).unwrap()
}

/// Resident memory of this process, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn rate(events: usize, work: impl FnOnce()) -> f64 {
    let before = spent();
    work();
    events as f64 / (spent() - before).max(1e-9)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

// ── the workload ──

fn workload(size: usize) -> Workload {
    if let Some(dir) = std::env::var_os("BENCH_DIR")
        && let Some(work) = load(Path::new(&dir), size)
    {
        return work;
    }
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/bench/match/gen.py");
    if generator.exists() {
        let dir = std::env::temp_dir().join("paramedic-bench");
        if load(&dir, size).is_none() {
            std::fs::create_dir_all(dir.join("data")).unwrap();
            let made =
                Command::new("python3").arg(generator).arg(size.to_string()).env("BENCH_DIR", &dir).output();
            if made.is_err() {
                eprintln!("python3 is not there; the workload is made here");
            }
        }
        if let Some(work) = load(&dir, size) {
            return work;
        }
    }
    made_here(size)
}

fn load(dir: &Path, size: usize) -> Option<Workload> {
    let file = |name: String| -> PathBuf { dir.join("data").join(name) };
    let rules = std::fs::read(file(format!("rules_{size}.json"))).ok()?;
    let lines = std::fs::read_to_string(file(format!("events_{size}.jsonl"))).ok()?;
    let lines = lines.lines().take(EVENTS).map(str::to_owned).collect();
    Some(Workload { rules: serde_json::from_slice(&rules).ok()?, lines })
}

/// The workload in the same form as `gen.py` makes it, with other dice.
fn made_here(size: usize) -> Workload {
    const GROUPS: [&str; 10] = [
        "telemetry.stress",
        "telemetry.boot",
        "hardware.disk",
        "hardware.net",
        "kernel.oops",
        "vm.lifecycle",
        "lab.power",
        "ci.job",
        "storage.raid",
        "cluster.node",
    ];
    const KINDS: [&str; 5] = ["boot_failed", "timeout", "degraded", "lost", "restored"];
    let mut dice = Dice(20_261_123 + size as u64);
    let rules: Vec<Neutral> = (0..size)
        .map(|n| {
            let prefix = dice.below(5) == 0;
            let group = GROUPS[dice.below(10)];
            let topic =
                if prefix { format!("{group}.") } else { format!("{group}.{}", KINDS[dice.below(5)]) };
            Neutral {
                name: format!("r{n}"),
                topic_op: if prefix { "prefix" } else { "eq" }.into(),
                topic,
                kernel: format!("kernel-{}", dice.below(1_000)),
                gt: 4_500 + dice.below(490) as u64,
            }
        })
        .collect();
    let line = |n: usize| {
        let (topic, kernel, ms);
        if dice.below(1_000) < 95 {
            let rule = &rules[dice.below(size)];
            let tail = if rule.topic_op == "prefix" { KINDS[dice.below(5)] } else { "" };
            topic = format!("{}{tail}", rule.topic);
            kernel = rule.kernel.clone();
            ms = rule.gt + 1 + dice.below(usize::try_from(4_999 - rule.gt).unwrap()) as u64;
        } else {
            topic = format!("{}.{}", GROUPS[dice.below(10)], KINDS[dice.below(5)]);
            kernel = format!("kernel-{}", dice.below(1_000));
            ms = 100 + dice.below(4_900) as u64;
        }
        let (s, severity) = (n / 200, ["low", "medium", "high", "critical"][dice.below(4)]);
        let (error, attempt) =
            (["timeout", "panic", "oom", "io", "unknown"][dice.below(5)], 1 + dice.below(5));
        format!(
            "{{\"id\":\"evt-{size}-{n:07}\",\"topic\":\"{topic}\",\"source\":\"stress_test\",\"time\":\"2026-11-23T{:02}:{:02}:{:02}.{:03}Z\",\"severity\":\"{severity}\",\"payload\":{{\"kernel\":\"{kernel}\",\"error\":\"{error}\",\"boot_duration_ms\":{ms},\"attempt\":{attempt}}}}}",
            s / 3_600 % 24,
            s / 60 % 60,
            s % 60,
            n % 200 * 5
        )
    };
    let lines = (0..EVENTS).map(line).collect();
    Workload { rules, lines }
}

/// SplitMix64: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}
