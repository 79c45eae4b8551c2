//! The last lines of errors in a kernel's log, or in a file that the configuration allows.

use std::io::SeekFrom;
use std::path::Path;

use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{Finding, Found, Scene, Severity, brief};
use crate::kernels::State;
use crate::model::Failure;

/// How much of the end of a file is looked at.
const TAIL_BYTES: u64 = 512 * 1024;

/// Lines that are given back: enough to see a pattern.
const SHOWN_LINES: usize = 20;

/// Longest line that is given back.
const SHOWN_CHARS: usize = 500;

/// A line that holds one of these is taken for an error.
const ERROR_WORDS: [&str; 9] =
    ["error", "panic", "fatal", "exception", "traceback", "out of memory", "segfault", "failed", "timed out"];

/// Whether `file` may be looked at. Links are followed first, so that none leads out of what is allowed.
pub(super) fn may_read(file: &str, allowed: &[String]) -> Result<(), Failure> {
    let path = Path::new(file);
    if !path.is_absolute() {
        return Err(Failure::new("invalid", format!("`file` is {file:?}: expected an absolute path")));
    }
    let real = path.canonicalize();
    let real = real.map_err(|error| Failure::new("failed", format!("cannot look at {file}: {error}")))?;
    let fits =
        |pattern: &String| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path(&real));
    if allowed.iter().any(fits) {
        return Ok(());
    }
    let shown = if allowed.is_empty() { "nothing".into() } else { allowed.join(", ") };
    let message = format!(
        "may not look at {}: allowed is {shown}; see `actions.diagnostic.logs` in the configuration",
        real.display()
    );
    Err(Failure::new("refused", message))
}

pub(super) async fn look(scene: &Scene) -> Found {
    let (name, lines) = match &scene.file {
        Some(file) => (file.clone(), tail(file, scene.lines).await?),
        None => match scene.kernels.get(&scene.target) {
            None => return Ok(vec![Finding::info("log", "no log is named".into(), json!({ "errors": [] }))]),
            Some(view) if view.state == State::Stopped => (scene.target.clone(), Vec::new()),
            Some(_) => {
                let lines = scene.kernels.logs(&scene.target, scene.lines).await;
                (scene.target.clone(), lines.map_err(|failure| failure.message)?)
            }
        },
    };
    let of = lines.len();
    let mut errors = error_lines(lines);
    let count = errors.len();
    let shown = errors.split_off(count.saturating_sub(SHOWN_LINES));
    let data = json!({ "log": name, "lines": of, "errors_seen": count, "errors": shown });
    if count == 0 {
        let summary = format!("the last {of} lines of the log of `{name}` show no error");
        return Ok(vec![Finding::info("log", summary, data)]);
    }
    let summary = format!("the log of `{name}` shows {count} lines of errors");
    Ok(vec![
        Finding::info("log", summary, data).bad(Severity::Warning, "the first of them is mostly the cause"),
    ])
}

async fn tail(file: &str, lines: usize) -> Result<Vec<String>, String> {
    let wrong = |error: std::io::Error| format!("{file} cannot be read: {error}");
    let mut open = File::open(file).await.map_err(wrong)?;
    let size = open.metadata().await.map_err(wrong)?.len();
    open.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES))).await.map_err(wrong)?;
    let mut bytes = Vec::new();
    open.take(TAIL_BYTES).read_to_end(&mut bytes).await.map_err(wrong)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect())
}

fn error_lines(lines: Vec<String>) -> Vec<String> {
    let is_error = |line: &String| {
        let line = line.to_lowercase();
        ERROR_WORDS.iter().any(|word| line.contains(word))
    };
    lines.into_iter().filter(is_error).map(|line| brief(&line, SHOWN_CHARS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_errors_are_picked_out_of_a_log_and_cut() {
        let lines =
            ["ok", "ERROR disk gone", "thread 'main' panicked at x", "request served"].map(String::from);
        let long = format!("fatal {}", "x".repeat(900));
        let found = error_lines(lines.into_iter().chain([long]).collect());
        assert_eq!(found[..2], ["ERROR disk gone", "thread 'main' panicked at x"]);
        assert_eq!((found.len(), found[2].len()), (3, SHOWN_CHARS));
    }

    #[tokio::test]
    async fn only_files_that_are_allowed_are_read_and_no_link_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name).display().to_string();
        std::fs::create_dir(root.join("log")).unwrap();
        std::fs::write(root.join("log/a.log"), "one\ntwo\nthree\n").unwrap();
        std::fs::write(root.join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("log/link")).unwrap();
        let allowed = [path("log/**")];
        assert_eq!(may_read(&path("log/a.log"), &allowed), Ok(()));
        assert_eq!(tail(&path("log/a.log"), 2).await, Ok(vec!["two".to_owned(), "three".into()]));
        for (file, kind) in [
            (path("log/link"), "refused"),
            (path("log/../secret"), "refused"),
            (path("secret"), "refused"),
            (path("log/none"), "failed"),
            ("log/a.log".to_owned(), "invalid"),
        ] {
            assert_eq!(may_read(&file, &allowed).unwrap_err().kind, kind, "{file}");
        }
    }
}
