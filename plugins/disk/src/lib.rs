//! Disks: how full they are, what fills them, and cleaning up by policy.
//!
//! It works only below the folders that the configuration allows (`roots`), never follows a symbolic link, never leaves
//! the file system it began on, and removes only ordinary files. What is to go must be said: a policy that would take
//! everything is refused.

mod clean;
mod policy;
mod size;
mod walk;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use paramedic_plugin::message::Risk;
use paramedic_plugin::schema::{
    boolean, duration, fields, integer, list, number, optional, required, string,
};
use paramedic_plugin::{Action, Failure, Plugin, export};
use serde::{Deserialize, Serialize};

use clean::Cleaned;
use policy::Policy;
use walk::{Roots, Walk};

/// `config:` of this plugin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The folders below which it may look and remove.
    roots: Vec<PathBuf>,
}

/// What it works with.
struct Disk {
    roots: Roots,
}

#[derive(Deserialize)]
struct Where {
    path: PathBuf,
}

/// How full a file system is.
#[derive(Serialize)]
struct Usage {
    path: PathBuf,
    total: u64,
    used: u64,
    free: u64,
    percent: f64,
    inodes_percent: f64,
}

#[derive(Deserialize)]
struct Largest {
    path: PathBuf,
    #[serde(default = "twenty")]
    top: usize,
}

/// What fills a folder.
#[derive(Serialize)]
struct Found {
    files: Vec<File>,
    count: u64,
    bytes: u64,
    complete: bool,
}

/// A file, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct File {
    path: PathBuf,
    bytes: u64,
    age_s: u64,
}

fn twenty() -> usize {
    20
}

impl Disk {
    fn new(config: Config) -> Result<Self, Failure> {
        Ok(Self { roots: Roots::new(&config.roots)? })
    }

    fn usage(&self, params: Where) -> Result<Usage, Failure> {
        let (folder, _) = self.roots.open(&params.path)?;
        let stat = rustix::fs::fstatvfs(&folder).map_err(std::io::Error::from)?;
        let total = stat.f_blocks * stat.f_frsize;
        let free = stat.f_bavail * stat.f_frsize;
        // What only root may use counts as used, as `df` has it.
        let used = total.saturating_sub(stat.f_bfree * stat.f_frsize);
        let inodes_used = stat.f_files.saturating_sub(stat.f_ffree);
        let percent =
            |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
        Ok(Usage {
            path: params.path,
            total,
            used,
            free,
            percent: percent(used, used + free),
            inodes_percent: percent(inodes_used, stat.f_files),
        })
    }

    fn largest(&self, params: Largest) -> Result<Found, Failure> {
        let walk = Walk::below(&self.roots, &params.path, now())?;
        let (count, bytes) = (walk.files.len() as u64, walk.files.iter().map(|file| file.bytes).sum());
        let complete = walk.complete;
        let mut files: Vec<File> = walk.files.into_iter().map(|seen| seen.told(&params.path)).collect();
        files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        files.truncate(params.top);
        Ok(Found { files, count, bytes, complete })
    }

    fn clean(&self, policy: Policy) -> Result<Cleaned, Failure> {
        clean::clean(&self.roots, &policy, now(), false)
    }

    fn would_clean(&self, policy: Policy) -> Result<Cleaned, Failure> {
        clean::clean(&self.roots, &policy, now(), true)
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of a file is measured against the machine's clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn plugin() -> Plugin<Disk> {
    let path = || string("A folder below one of the configured roots.").at_least(1);
    let file = || {
        fields(
            "A file.",
            [
                required("path", string("Where it is.")),
                required("bytes", integer("How long it is.")),
                required("age_s", integer("Seconds since it was changed.")),
            ],
        )
    };
    Plugin::with_state("disk", env!("CARGO_PKG_VERSION"), Disk::new)
        .doc("How full disks are, what fills them, and cleaning up by policy.")
        .action(
            Action::new("disk.usage", "Says how full the file system of a folder is.", Disk::usage)
                .takes([required("path", path())])
                .gives([
                    required("path", string("The folder.")),
                    required("total", integer("Bytes in all.")),
                    required("used", integer("Bytes in use.")),
                    required("free", integer("Bytes that may still be used.")),
                    required("percent", number("Share in use, as `df` has it.")),
                    required("inodes_percent", number("Share of inodes in use.")),
                ])
                .idempotent()
                .timeout(Duration::from_secs(10)),
        )
        .action(
            Action::new("disk.largest", "Lists the largest files below a folder.", Disk::largest)
                .takes([
                    required("path", path()),
                    optional("top", integer("How many to list; 20 if not said.").between(1, 1_000)),
                ])
                .gives([
                    required("files", list("The largest, largest first.", file())),
                    required("count", integer("Files that were seen.")),
                    required("bytes", integer("Bytes in all of them.")),
                    required("complete", boolean("Whether all were seen.")),
                ])
                .idempotent()
                .timeout(Duration::from_secs(120)),
        )
        .action(
            Action::new("disk.clean", "Removes files by age, size and name, the oldest first.", Disk::clean)
                .takes([
                    required("path", path()),
                    optional("older_than", duration("Only files not changed for so long.")),
                    optional("larger_than", string("Only files of at least this size, such as 10MiB.")),
                    optional("patterns", list("Only files with such a name.", string("Such as *.log.*"))),
                    optional("keep", integer("Spare so many of the newest.").at_least(0)),
                    optional("until_free", number("Stop when this share of the disk, in percent, is free.")),
                    optional(
                        "most",
                        integer("Remove at most so many; 10000 if not said.").between(1, 1_000_000),
                    ),
                ])
                .gives([
                    required("removed", integer("Files that were removed.")),
                    required("bytes", integer("Bytes in them.")),
                    required("files", list("The first hundred of them.", file())),
                    required("failed", list("Files that could not be removed, and why.", string("One."))),
                    required("complete", boolean("Whether all files were seen.")),
                ])
                .dry_run(Disk::would_clean)
                .risk(Risk::Medium)
                .idempotent()
                .timeout(Duration::from_secs(300)),
        )
}

export!(plugin);

/// The path of a file below `base`, for people.
fn beneath(base: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() { base.into() } else { base.join(relative) }
}

#[cfg(test)]
mod tests;
