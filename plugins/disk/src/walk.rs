//! Looking through folders by their handles: no link is followed, and nothing outside the roots can be reached, whatever
//! somebody renames or links meanwhile.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paramedic_plugin::Failure;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::{File, beneath};

/// More files than this are not looked at in one call.
const MOST: usize = 1_000_000;

/// Deeper folders are not entered.
const DEPTH: usize = 64;

/// The folders below which something may be done.
pub(crate) struct Roots(Vec<PathBuf>);

/// A file that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Below the folder that was looked through.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
    /// Device and inode, so that what is removed is what was seen.
    pub(crate) id: (u64, u64),
}

/// What was seen.
pub(crate) struct Walk {
    pub(crate) files: Vec<Seen>,
    /// Whether that is all.
    pub(crate) complete: bool,
}

impl Roots {
    pub(crate) fn new(roots: &[PathBuf]) -> Result<Self, Failure> {
        if roots.is_empty() {
            return Err(Failure::invalid(
                "`roots` is empty: name the folders below which files may be looked at and removed",
            ));
        }
        let mut all = Vec::new();
        for root in roots {
            let real = root.canonicalize().map_err(|error| {
                Failure::invalid(format!("root {} cannot be used: {error}", root.display()))
            })?;
            if !root.is_absolute() || real.parent().is_none() || !real.is_dir() {
                let message =
                    format!("root {} must be an absolute folder, and not all of the machine", root.display());
                return Err(Failure::invalid(message));
            }
            // Both ways to write it are understood.
            all.push(real);
            all.push(root.clone());
        }
        Ok(Self(all))
    }

    /// Opens a folder at or below a root, with its device. The way from the root to it holds no link.
    pub(crate) fn open(&self, path: &Path) -> Result<(OwnedFd, u64), Failure> {
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(plain) {
            return Err(Failure::invalid(format!("{} is not an absolute path without `..`", path.display())));
        }
        let root =
            self.0.iter().filter(|root| path.starts_with(root)).max_by_key(|root| root.as_os_str().len());
        let Some(root) = root else {
            let roots = self
                .0
                .iter()
                .step_by(2)
                .map(|root| root.display().to_string())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Failure::refused(format!(
                "{} is not below an allowed folder: allowed are {roots}",
                path.display()
            )));
        };
        let failed = |error: Errno| Failure::failed(told(path, error));
        let mut folder =
            openat(CWD, root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty()).map_err(failed)?;
        for part in path.strip_prefix(root).unwrap_or(Path::new("")).components() {
            folder = openat(&folder, part.as_os_str(), FOLDER, Mode::empty()).map_err(failed)?;
        }
        let device = rustix::fs::fstat(&folder).map_err(failed)?.st_dev;
        Ok((folder, device))
    }
}

/// How a folder is opened: never through a link.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

impl Walk {
    /// All ordinary files below `path`.
    pub(crate) fn below(roots: &Roots, path: &Path, now: SystemTime) -> Result<Self, Failure> {
        let (folder, device) = roots.open(path)?;
        let mut walk = Self { files: Vec::new(), complete: true };
        walk.enter(folder, &PathBuf::new(), device, 0, now)
            .map_err(|error| Failure::failed(told(path, error)))?;
        Ok(walk)
    }

    fn enter(
        &mut self,
        folder: OwnedFd,
        at: &Path,
        device: u64,
        depth: usize,
        now: SystemTime,
    ) -> Result<(), Errno> {
        let mut folders = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let Ok(entry) = entry else {
                self.complete = false;
                break;
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            // Gone meanwhile is as good as never seen.
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if stat.st_dev == device => folders.push(name.to_owned()),
                FileType::RegularFile if self.files.len() < MOST => {
                    let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
                    self.files.push(Seen {
                        path: at.join(name),
                        bytes: u64::try_from(stat.st_size).unwrap_or(0),
                        age: now.duration_since(changed).unwrap_or_default(),
                        id: (stat.st_dev, stat.st_ino),
                    });
                }
                FileType::RegularFile => self.complete = false,
                // Links, devices, sockets and other file systems are none of our business.
                _ => {}
            }
        }
        for name in folders {
            let inner = if depth < DEPTH {
                openat(&folder, &name, FOLDER, Mode::empty())
            } else {
                Err(Errno::NAMETOOLONG)
            };
            let entered = inner.and_then(|inner| self.enter(inner, &at.join(&name), device, depth + 1, now));
            // One folder that may not be read hides no other.
            self.complete &= entered.is_ok();
        }
        Ok(())
    }
}

impl Seen {
    /// As it is told, with the folder that was looked through.
    pub(crate) fn told(self, base: &Path) -> File {
        File { path: beneath(base, &self.path), bytes: self.bytes, age_s: self.age.as_secs() }
    }
}

/// An error with its path.
pub(crate) fn told(path: &Path, error: Errno) -> String {
    let why = match error {
        Errno::LOOP | Errno::NOTDIR => "it is no folder, or a link leads to it".into(),
        other => std::io::Error::from(other).to_string(),
    };
    format!("{}: {why}", path.display())
}
