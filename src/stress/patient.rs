//! `paramedic __patient`: a small server to break, for demos and tests.
//!
//! It answers any GET with 200 once it has booted. `POST /break/crash` ends it, `POST /break/hang` makes it accept
//! nothing more. Boots can be made to fail or to be slow; a count of them in a file makes a later boot a good one.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// The hidden sub-command that leads here.
pub const COMMAND: &str = "__patient";

/// How it behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    /// `--port`, else `PORT` of the environment.
    port: u16,
    /// `--boot-ms`: until it answers.
    boot_ms: u64,
    /// `--good-boots`: so many are as they should be before any of the below.
    good_boots: u64,
    /// `--fail-boots`: the next so many end with 1.
    fail_boots: u64,
    /// `--slow-boots`: the next so many take `--slow-ms`.
    slow_boots: u64,
    slow_ms: u64,
    /// `--hang-boots`: the next so many never answer.
    hang_boots: u64,
    /// `--state`: the file that counts boots.
    state: Option<PathBuf>,
}

/// What a boot is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boot {
    Good,
    Fails,
    Slow,
    Hangs,
}

/// Exit code after `POST /break/crash`, that of a Rust program that panicked.
const CRASH: i32 = 101;

/// Carries out `__patient`; `args` are those after it. Comes back with an exit code only if it cannot serve.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
    let port = std::env::var("PORT").ok();
    let served = Options::parse(args, port.as_deref()).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(serve(&options))
    });
    match served {
        Ok(never) => match never {},
        Err(problem) => {
            say(&format!("ERROR {problem}"));
            1
        }
    }
}

async fn serve(options: &Options) -> Result<Infallible, String> {
    let boot = options.boot(options.count()?);
    say(&format!("booting ({boot:?})").to_lowercase());
    match boot {
        Boot::Good => sleep(Duration::from_millis(options.boot_ms)).await,
        Boot::Slow => sleep(Duration::from_millis(options.slow_ms)).await,
        Boot::Hangs => return std::future::pending().await,
        Boot::Fails => {
            sleep(Duration::from_millis(options.boot_ms)).await;
            return Err("panic: told to fail this boot".into());
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
    let listener = listener.map_err(|error| format!("cannot listen on port {}: {error}", options.port))?;
    say("ready");
    let (hang, mut hangs) = tokio::sync::watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = hangs.wait_for(|hangs| *hangs) => {
                // The listener stays open: connections are made, and never answered.
                say("ERROR hanging as told");
                return std::future::pending().await;
            }
        };
        let Ok((stream, _)) = accepted else { continue };
        let hang = hang.clone();
        tokio::spawn(async move {
            match timeout(Duration::from_secs(5), answer(stream)).await.as_deref() {
                Ok("crash") => {
                    say("panic: told to crash");
                    std::process::exit(CRASH);
                }
                Ok("hang") => drop(hang.send_replace(true)),
                _ => {}
            }
        });
    }
}

/// Answers one request; gives the word after `/break/`.
async fn answer(mut stream: TcpStream) -> String {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") && request.len() < 8 * 1024 {
        match stream.read_buf(&mut request).await {
            Ok(n) if n > 0 => {}
            _ => return String::new(),
        }
    }
    let request = String::from_utf8_lossy(&request);
    let line = request.lines().next().unwrap_or_default();
    let word = line.strip_prefix("POST /break/").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let (status, body) = match (line.split(' ').next(), word) {
        (Some("GET" | "HEAD"), _) => ("200 OK", "ok\n"),
        (_, "crash" | "hang") => ("202 Accepted", "as you wish\n"),
        _ => ("404 Not Found", "GET /, POST /break/crash or POST /break/hang\n"),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Who asks and does not wait for the answer gets none.
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok();
    stream.shutdown().await.ok();
    word.to_owned()
}

impl Options {
    fn parse(args: impl Iterator<Item = String>, port: Option<&str>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args.peekable();
        let mut port = port.map(str::to_owned);
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{flag} {value}: not a number"));
            match flag.as_str() {
                "--port" => port = Some(value),
                "--boot-ms" => options.boot_ms = number()?,
                "--good-boots" => options.good_boots = number()?,
                "--fail-boots" => options.fail_boots = number()?,
                "--slow-boots" => options.slow_boots = number()?,
                "--slow-ms" => options.slow_ms = number()?,
                "--hang-boots" => options.hang_boots = number()?,
                "--state" => options.state = Some(value.into()),
                _ => return Err(format!("{flag} is no option of {COMMAND}")),
            }
        }
        let port = port.ok_or("needs --port, or PORT in its environment")?;
        options.port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
        if options.state.is_none() && options.fail_boots + options.slow_boots + options.hang_boots > 0 {
            return Err("needs --state FILE to count boots in".into());
        }
        Ok(options)
    }

    /// The number of this boot, from 0, and counts it.
    fn count(&self) -> Result<u64, String> {
        let Some(path) = &self.state else { return Ok(0) };
        let failed = |error: io::Error| format!("cannot count boots in {}: {error}", path.display());
        let before = match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed(error)),
        };
        std::fs::write(path, (before + 1).to_string()).map_err(failed)?;
        Ok(before)
    }

    fn boot(&self, number: u64) -> Boot {
        let kinds = [
            (self.good_boots, Boot::Good),
            (self.fail_boots, Boot::Fails),
            (self.slow_boots, Boot::Slow),
            (self.hang_boots, Boot::Hangs),
        ];
        let mut end = 0;
        for (count, kind) in kinds {
            end += count;
            if number < end {
                return kind;
            }
        }
        Boot::Good
    }
}

fn say(text: &str) {
    // Nobody may be reading; that is no reason to fall ill.
    writeln!(io::stderr(), "patient: {text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(String::from), None)
    }

    #[test]
    fn bad_boots_come_in_their_order_and_are_over_after_their_number() {
        let text =
            "--port 1 --good-boots 1 --fail-boots 2 --slow-boots 1 --slow-ms 5 --hang-boots 1 --state f";
        let options = options(text).unwrap();
        let boots: Vec<Boot> = (0..6).map(|n| options.boot(n)).collect();
        assert_eq!(boots, [Boot::Good, Boot::Fails, Boot::Fails, Boot::Slow, Boot::Hangs, Boot::Good]);
    }

    #[test]
    fn boots_are_counted_across_lives() {
        let dir = tempfile::tempdir().unwrap();
        let state = Some(dir.path().join("boots"));
        let options = Options { state, ..Options::default() };
        assert_eq!([options.count(), options.count(), options.count()], [Ok(0), Ok(1), Ok(2)]);
    }

    #[test]
    fn a_wrong_option_is_named() {
        for (text, expected) in [
            ("", "needs --port"),
            ("--port x", "`x` is not a port"),
            ("--port 1 --boot-ms", "--boot-ms needs a value"),
            ("--port 1 --boot-ms soon", "--boot-ms soon: not a number"),
            ("--port 1 --nope 1", "--nope is no option"),
            ("--port 1 --fail-boots 1", "needs --state FILE"),
        ] {
            assert!(options(text).unwrap_err().starts_with(expected), "{text}");
        }
    }
}
