//! `paramedic demo`: real processes break and come back, and what was learned from it is shown.
//!
//! Nothing is staged but the breaking: the kernels are child processes, the rules and playbooks are the shipped ones,
//! and everything shown is asked of the engine. With `--once` it ends by itself, with 0 only if every broken kernel was
//! repaired and seen to be.

pub mod cast;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{output, run};
use crate::engine::{Config, Engine};
use crate::http;
use crate::model::Clock;
use crate::platform::{Part, log};
use cast::Fault;
use story::Story;

/// Longest that the repairs may take before the demo says that they failed.
const PATIENCE: Duration = Duration::from_secs(45);

/// Pause between two faults, when it goes on for as long as it is watched.
const BETWEEN: Duration = Duration::from_secs(10);

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End once everything that was broken is repaired; exit status 0 only then
    #[arg(long)]
    once: bool,
    /// Where everything durable lies [default: a new directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where HTTP is served [default: 127.0.0.1:7112, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
    /// Show the engine's own log too
    #[arg(long)]
    verbose: bool,
}

/// Plays it.
pub fn main(args: &Args) -> ExitCode {
    log::start(false, if args.verbose { "info" } else { "error" });
    let runtime = match run::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&error),
    };
    let played = runtime.block_on(play(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => output::failed(&error),
    }
}

async fn play(args: &Args) -> Result<bool, String> {
    let stage = Stage::set(args.data.as_deref())?;
    let listener = listen(args.listen).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let engine =
        Engine::start(stage.config(address)?, Clock::system()).await.map_err(|error| error.to_string())?;
    let api = http::serve(engine.clone(), listener);
    let api = Part::new("http").until(&engine.stopping()).spawn(api);
    let told = tokio::select! {
        told = tell(&engine, address, args.once) => told,
        why = run::told_to_stop() => { why?; output::line("\nstopping"); Ok(!args.once) }
    };
    engine.shutdown().await;
    drop(tokio::time::timeout(Duration::from_secs(2), api).await);
    told
}

async fn tell(engine: &Engine, address: std::net::SocketAddr, once: bool) -> Result<bool, String> {
    let mut story = Story::begin(engine.clone());
    story.title(&format!(
        "{} kernels on 3 layers boot as real processes; watch them at http://{address}/api/kernels",
        cast::KERNELS
    ));
    for (kernel, fault) in cast::faults().filter(|(_, fault)| fault.is_in_boot()) {
        story.broken(&kernel, fault);
    }
    let booted = story.until_repaired(PATIENCE).await;
    if booted {
        story.title("everything is up; now some are broken while they work");
        for (kernel, fault) in cast::faults().filter(|(_, fault)| !fault.is_in_boot()) {
            story.inflict(&kernel, fault);
        }
    }
    let repaired = booted && story.until_repaired(PATIENCE).await;
    story.sum_up();
    if once {
        return Ok(repaired);
    }
    story.title(&format!("it goes on, a fault every {} s, until Ctrl-C", BETWEEN.as_secs()));
    for (kernel, fault) in cast::for_ever() {
        story.inflict(&kernel, fault);
        let repaired = story.until_repaired(PATIENCE).await;
        if !repaired {
            output::line(output::bad(format!("{kernel} was not repaired within {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(repaired)
}

async fn listen(wanted: Option<std::net::SocketAddr>) -> Result<tokio::net::TcpListener, String> {
    let usual = Config::default().listen;
    match http::bind(wanted.unwrap_or(usual)).await {
        Ok(listener) => Ok(listener),
        Err(_) if wanted.is_none() => {
            http::bind(std::net::SocketAddr::new(usual.ip(), 0)).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The directory that it is played in.
struct Stage {
    dir: PathBuf,
    own: bool,
}

impl Stage {
    fn set(data: Option<&Path>) -> Result<Self, String> {
        let dir = match data {
            Some(dir) => dir.to_path_buf(),
            None => std::env::temp_dir().join(format!(
                "paramedic-demo-{}-{}",
                std::process::id(),
                uuid::Uuid::new_v4()
            )),
        };
        let stage = Self { own: data.is_none(), dir };
        let used = |name: &str| stage.dir.join(name).exists();
        if used("paramedic.db") || used("state") {
            return Err(format!("{} is in use: the demo begins on an empty directory", stage.dir.display()));
        }
        for dir in ["rules", "playbooks", "state"] {
            let dir = stage.dir.join(dir);
            std::fs::create_dir_all(&dir).map_err(|e| format!("failed to make {}: {e}", dir.display()))?;
        }
        for (name, text) in cast::SHIPPED {
            let path = stage.dir.join(name);
            std::fs::write(&path, text).map_err(|e| format!("failed to write {}: {e}", path.display()))?;
        }
        Ok(stage)
    }

    fn config(&self, listen: std::net::SocketAddr) -> Result<Config, String> {
        let program =
            std::env::current_exe().map_err(|e| format!("failed to find the program itself: {e}"))?;
        Ok(Config {
            listen,
            data: self.dir.clone(),
            rules: self.dir.join("rules"),
            playbooks: self.dir.join("playbooks"),
            logs: self.dir.join("logs"),
            kernels: cast::kernels(&program, &self.dir.join("state")),
            ..Config::default()
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.own
            && let Err(error) = std::fs::remove_dir_all(&self.dir)
        {
            output::progress(format!("failed to remove {}: {error}", self.dir.display()));
        }
    }
}

impl Fault {
    fn is_in_boot(self) -> bool {
        matches!(self, Self::FailsToBoot | Self::BootsSlowly)
    }
}
