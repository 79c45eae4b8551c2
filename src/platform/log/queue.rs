//! The lines that wait to be written, and the one thread that writes them.

use std::collections::VecDeque;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use super::line::Style;

/// Bytes that may wait: some thousands of lines, which is what a terminal or a pipe may be behind without a loss.
const LIMIT: usize = 1 << 20;
/// How soon it is tried to say that lines were dropped.
const AGAIN: Duration = Duration::from_secs(1);
/// A write that takes longer than this has nobody who reads.
const STUCK: Duration = Duration::from_secs(2);

/// The lines that wait.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines dropped and not reported yet.
    lost: u64,
    /// Since when a line is being written.
    writing: Option<Instant>,
    /// Why the last write failed.
    error: Option<String>,
}

/// The thread's own.
struct Writer<W> {
    out: W,
    style: Style,
    queue: Arc<Queue>,
    /// Whether the last line was cut off in the middle.
    torn: bool,
}

impl Queue {
    /// A queue whose lines are written to `out`. Without a thread everything is dropped and counted.
    pub(super) fn start(out: impl Write + Send + 'static, style: Style, dropped: Counter) -> Arc<Self> {
        let (state, filled, written) = (Mutex::default(), Condvar::new(), Condvar::new());
        let queue = Arc::new(Self { state, filled, written, dropped });
        let mut writer = Writer { out, style, queue: queue.clone(), torn: false };
        let work = move || {
            loop {
                // A panic in here would otherwise end the log.
                drop(catch_unwind(AssertUnwindSafe(|| writer.next())));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("log".into()).spawn(work) {
            queue.lock().error = Some(format!("there is no thread for it: {error}"));
        }
        queue
    }

    /// Appends a line, or drops it if too much waits already.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut state = self.lock();
        if state.bytes + line.len() > LIMIT && state.bytes > 0 {
            state.lost += 1;
            self.dropped.inc();
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until nothing waits to be written, at most for `longest`; false if something does still.
    pub(super) fn flush(&self, longest: Duration) -> bool {
        let is_busy = |state: &mut State| state.writing.is_some() || !state.lines.is_empty();
        let waited = self.written.wait_timeout_while(self.lock(), longest, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Why lines are not written now.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.lock();
        let stuck = state.writing.is_some_and(|since| since.elapsed() > STUCK);
        let stuck = stuck.then(|| "nothing reads it".to_string());
        stuck.or_else(|| state.error.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Writer<W> {
    /// Waits for a line and writes it, after what is to be said of those that were dropped before it.
    fn next(&mut self) {
        let mut state = self.queue.lock();
        while state.lines.is_empty() && state.lost == 0 {
            state = self.queue.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.lines.is_empty() {
            // Only the loss is to be reported: if that failed just now, not at once again.
            let waited = self.queue.filled.wait_timeout(state, AGAIN);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let lost = std::mem::take(&mut state.lost);
        let line = state.lines.pop_front();
        state.bytes -= line.as_ref().map_or(0, Vec::len);
        let why = state.error.clone().unwrap_or_else(|| "it was behind".into());
        state.writing = Some(Instant::now());
        drop(state);

        let mut done = Ok(());
        if lost > 0 {
            let text = format!("{lost} log lines were dropped, as standard error did not take them: {why}");
            done = self.put(&self.style.line("WARN", &text));
        }
        let lost = if done.is_err() { lost } else { 0 };
        let unwritten = line.and_then(|line| {
            done = std::mem::replace(&mut done, Ok(())).and_then(|()| self.put(&line));
            done.is_err().then_some(1)
        });
        let unwritten = unwritten.unwrap_or(0);
        self.queue.dropped.inc_by(unwritten);

        let mut state = self.queue.lock();
        state.lost += lost + unwritten;
        state.writing = None;
        state.error = done.err().map(|error| error.to_string());
        drop(state);
        self.queue.written.notify_all();
    }

    fn put(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.torn {
            self.out.write_all(b"\n")?;
        }
        self.torn = true;
        let mut rest = line;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = &rest[n..],
                Err(error) => {
                    self.torn = rest.len() < line.len();
                    return Err(error);
                }
            }
        }
        self.torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const STYLE: Style = Style { json: false, color: false };
    const LONG: Duration = Duration::from_secs(30);

    /// A disk that is full while it says so.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(bool, String)>>);

    impl Disk {
        fn fill(&self, full: bool) {
            self.0.lock().unwrap().0 = full;
        }

        fn text(&self) -> String {
            self.0.lock().unwrap().1.clone()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            if disk.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe whose reader takes one line for each word it is sent.
    struct Pipe(Receiver<()>, Sender<usize>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            self.1.send(bytes.len()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn until(what: impl Fn() -> bool) {
        let deadline = Instant::now() + LONG;
        while !what() {
            assert!(Instant::now() < deadline, "it did not come to it");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_full_disk_drops_lines_and_says_how_many_once_it_has_room() {
        let (disk, dropped) = (Disk::default(), Counter::default());
        let queue = Queue::start(disk.clone(), STYLE, dropped.clone());
        disk.fill(true);
        for n in 0..5 {
            queue.push(format!("lost {n}\n").into_bytes());
        }
        until(|| dropped.get() == 5);
        until(|| queue.trouble().is_some());
        disk.fill(false);
        // It says so although nothing else is logged.
        until(|| disk.text().contains("5 log lines were dropped"));
        queue.push(b"kept\n".to_vec());
        assert!(queue.flush(LONG));
        assert!(disk.text().ends_with("kept\n") && !disk.text().contains("lost"), "{}", disk.text());
        assert_eq!(queue.trouble(), None);
    }

    #[test]
    fn a_reader_that_stopped_holds_nobody_up_and_the_queue_stays_small() {
        let (take, taken) = channel();
        let (tell, told) = channel();
        let dropped = Counter::default();
        let queue = Queue::start(Pipe(taken, tell), STYLE, dropped.clone());
        let begun = Instant::now();
        for _ in 0..50_000 {
            queue.push(vec![b'x'; 100]);
        }
        assert!(begun.elapsed() < LONG, "whoever logs does not wait");
        assert!(queue.lock().bytes <= LIMIT);
        assert!(dropped.get() > 30_000, "{}", dropped.get());
        assert!(!queue.flush(Duration::from_millis(10)), "what ends the process does not wait for ever");
        drop(take);
        assert!(queue.flush(LONG));
        assert!(told.try_iter().count() > 9_000, "what fitted is written in the end");
    }
}
