//! The engine's log on standard error: a bounded queue and one thread that writes.
//!
//! Whoever logs only puts a line into the queue, so it never waits for a disk or a reader and never panics. Lines that
//! the queue or standard error does not take are dropped, counted (`paramedic_log_lines_dropped_total`), and reported in
//! the log itself as soon as it works again. A line is one line: control characters in it are escaped, so that text from
//! an event cannot pass for a line of its own. Start with [`start`].

mod line;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use rustix::event::{PollFd, PollFlags, poll};
use tracing_subscriber::EnvFilter;

use line::Style;
use queue::Queue;

/// The log of this process, once it has been started.
static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// Lines dropped since the process started.
static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

struct Log {
    queue: Arc<Queue>,
    style: Style,
}

/// Starts the log on standard error, as JSON lines or as text; `RUST_LOG` says more or less than `level`. Panics are
/// logged too from here on.
pub fn start(json: bool, level: &str) {
    let color = !json && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = Style { json, color };
    let log = Arc::new(Log { queue: Queue::start(Stderr, style, DROPPED.clone()), style });
    if LOG.set(log.clone()).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(panicked));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        // It would report them with `eprintln!`, which panics when standard error does.
        .log_internal_errors(false)
        .with_writer(move || Lines(log.clone()));
    if json {
        subscriber.json().init();
    } else {
        subscriber.with_ansi(color).init();
    }
}

/// Writes `text` as it is, like the last words of a command; before [`start`], to standard error at once.
pub fn raw(text: &str) {
    match LOG.get() {
        Some(log) => log.queue.push(format!("{text}\n").into_bytes()),
        // Nobody can be told that nobody can be told.
        None => drop(writeln!(io::stderr(), "{text}")),
    }
}

/// Waits until everything is written, at most for `longest`; false if it was not.
pub fn flush(longest: Duration) -> bool {
    LOG.get().is_none_or(|log| log.queue.flush(longest))
}

/// Why lines are being dropped now; none if they are not.
pub fn trouble() -> Option<String> {
    LOG.get().and_then(|log| log.queue.trouble())
}

/// Lines dropped so far; to be registered as a metric.
pub fn dropped() -> Counter {
    DROPPED.clone()
}

/// Takes one event a call, as the layer that formats them writes each in one piece.
struct Lines(Arc<Log>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.queue.push(line::escape(bytes, self.0.style.color));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Past `tracing`, which takes nothing from a panic inside of itself.
fn panicked(info: &PanicHookInfo<'_>) {
    let Some(log) = LOG.get() else { return };
    let thread = std::thread::current();
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("no message");
    let name = thread.name().unwrap_or("without a name");
    log.queue.push(log.style.line("ERROR", &format!("thread {name} panicked{place}: {message}")));
    // Only with `RUST_BACKTRACE`.
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        for frame in trace.to_string().lines() {
            log.queue.push(log.style.line("ERROR", frame));
        }
    }
}

/// Standard error without the standard library's lock and its panics.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        loop {
            match rustix::io::write(&stderr, bytes) {
                // Somebody else has made it non-blocking: then this is how to wait for a reader.
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None).ok();
                }
                Err(rustix::io::Errno::INTR) => {}
                done => return done.map_err(io::Error::from),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
