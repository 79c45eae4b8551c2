//! `paramedic run`: serves until it is told to stop.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Setup, output};
use crate::engine::{Config, Engine};
use crate::http::{self, starting::Starting};
use crate::model::Clock;
use crate::platform::{Part, descriptors, log, supervisor};

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    setup: Setup,
    /// Write the log as JSON lines
    #[arg(long)]
    log_json: bool,
}

/// Serves until SIGINT or SIGTERM; SIGHUP reloads.
pub fn main(args: &Args) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&error),
    };
    // Before anything else: a reload that is asked for while it starts must not end it.
    let hangups = match runtime.block_on(async { signal(SignalKind::hangup()) }) {
        Ok(hangups) => hangups,
        Err(error) => return output::failed(&format!("failed to listen for signals: {error}")),
    };
    let config = match args.setup.load() {
        Ok(config) => config,
        Err(error) => return output::failed(&error),
    };
    log::start(args.log_json, "info");
    descriptors::raise();
    supervisor::exit_when_a_part_ends();
    let served = runtime.block_on(serve(config, hangups));
    // What is left works on a runtime that goes away.
    supervisor::stand_down();
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::failed(&error),
    }
}

async fn serve(config: Config, hangups: Signal) -> Result<(), String> {
    // The address first: a second engine finds out before it touches anything.
    let listener = http::bind(config.listen).await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (starting, listener) =
        Starting::serve(listener).map_err(|error| format!("failed to serve: {error}"))?;
    let engine = Engine::start_telling(config, Clock::system(), |what| starting.doing(what)).await;
    starting.over();
    let engine = engine.map_err(|error| error.to_string())?;
    let api = http::serve(engine.clone(), listener);
    let api = Part::new("http").until(&engine.stopping()).spawn(api);
    let readiness = engine.readiness();
    tracing::info!(
        url = %format!("http://{address}"),
        rules = %readiness["rules"],
        playbooks = %readiness["playbooks"],
        kernels = %readiness["kernels"],
        "ready"
    );
    drop(Part::new("reload-on-hangup").until(&engine.stopping()).spawn(reload_on(hangups, engine.clone())));
    let why = told_to_stop().await?;
    tracing::info!("{why}: stopping");
    engine.shutdown().await;
    // Open streams end with the engine; a connection that does not is cut off with the process.
    drop(tokio::time::timeout(std::time::Duration::from_secs(2), api).await);
    tracing::info!("stopped");
    Ok(())
}

/// Reads plugins, rules and playbooks again at each SIGHUP, as `POST /api/rules/reload` does.
async fn reload_on(mut hangups: Signal, engine: Engine) {
    let stop = engine.stopping();
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        tracing::info!("SIGHUP: reloading");
        if let Err(error) = engine.reread().await {
            tracing::error!("failed to read the configuration again: {error}; plugins stay as they are");
        }
        let engine = engine.clone();
        if tokio::task::spawn_blocking(move || engine.reload()).await.is_err() {
            tracing::error!("failed to reload: the reload panicked; the last good rules stay");
        }
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// In words, when the process may not listen for signals.
pub async fn told_to_stop() -> Result<&'static str, String> {
    let words = |error: std::io::Error| format!("failed to listen for signals: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(words)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(words)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
    })
}

/// A runtime for everything that waits.
///
/// # Errors
/// In words, when threads cannot be made.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start: {error}"))
}
