//! A library's content, taken once: what is hashed is what is loaded, whatever happens to the file meanwhile.
//!
//! The file is opened once and copied from that descriptor into sealed memory, which has a path below `/proc`. So a file
//! that is replaced, or written over in place, never changes under a process that has it loaded, and each content has a
//! path of its own, which the dynamic loader cannot mistake for one that it has loaded already.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};
use sha2::{Digest, Sha256};

/// The largest library that is taken.
const MOST: u64 = 512 << 20;

/// The content of a library.
#[derive(Debug)]
pub(super) struct Image {
    memory: File,
    /// Of the content, as 64 hexadecimal digits.
    pub(super) sha256: String,
    /// How many bytes it has.
    pub(super) size: u64,
    /// How the file stood when it was opened.
    pub(super) stamp: Stamp,
}

/// How a file stands: modification time, size, inode; none if it is not there.
pub(super) type Stamp = Option<(i64, i64, u64, u64)>;

impl Image {
    /// Takes the content of the file at `path`.
    ///
    /// # Errors
    /// In words, when it is not there, is no file, or cannot be read.
    pub(super) fn take(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("{} is not there", path.display()),
            _ => format!("{} cannot be read: {error}", path.display()),
        };
        let mut file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(format!("{} is no file", path.display()));
        }
        if meta.len() > MOST {
            return Err(format!("{} is {} MiB long, over {}", path.display(), meta.len() >> 20, MOST >> 20));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = rustix::fs::memfd_create("paramedic-plugin", flags)
            .map_err(|error| format!("there is no memory for {}: {error}", path.display()))?;
        let mut memory = File::from(memory);
        let (sha256, size) = copy(&mut (&mut file).take(MOST), &mut memory).map_err(failed)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&memory, seals).map_err(|error| failed(error.into()))?;
        let stamp = Some((meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()));
        Ok(Self { memory, sha256, size, stamp })
    }

    /// Takes the content at `path`, which must be this.
    ///
    /// # Errors
    /// In words, when it is another.
    pub(super) fn take_exactly(path: &Path, sha256: &str) -> Result<File, String> {
        let mut file = File::open(path).map_err(|error| format!("the library cannot be opened: {error}"))?;
        let (found, _) = copy(&mut file, &mut io::sink()).map_err(|error| error.to_string())?;
        if found == sha256 { Ok(file) } else { Err(format!("the library is {found}, not {sha256}")) }
    }

    /// A descriptor of its own, whose number is used for no other library while it is open.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(super) fn own(&self) -> io::Result<File> {
        self.memory.try_clone()
    }

    /// Where this process and its children find it, for as long as this value lives.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd()).into()
    }

    /// Whether this is what was pinned.
    ///
    /// # Errors
    /// In words, with both hashes.
    pub(super) fn fits(&self, pin: Option<&str>) -> Result<(), String> {
        match pin {
            Some(pin) if !pin.eq_ignore_ascii_case(&self.sha256) => Err(format!(
                "its sha256 is {}, but {pin} is pinned: if the change is meant, `paramedic plugin pin` writes the new \
                 one, for the next start; if not, find out who changed the file",
                self.sha256
            )),
            _ => Ok(()),
        }
    }
}

/// How the file at `path` stands now.
pub(super) fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()))
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        size += n as u64;
    }
    let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((hex, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_written_over_in_place_does_not_change_what_was_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lib");
        std::fs::write(&path, "abc").unwrap();
        let image = Image::take(&path).unwrap();
        assert_eq!(image.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::write(&path, "abd").unwrap();
        assert_eq!(std::fs::read(image.path()).unwrap(), b"abc");
        assert!(File::options().write(true).open(image.path()).and_then(|mut f| f.write_all(b"x")).is_err());
        assert_ne!(stamp(&path), image.stamp.map(|(a, b, c, d)| (a, b, c, d + 1)));
        assert!(Image::take_exactly(&image.path(), &image.sha256).is_ok());
        assert!(Image::take_exactly(&path, &image.sha256).unwrap_err().contains("not ba7816bf"));
        image.fits(Some(&image.sha256.to_uppercase())).unwrap();
        assert!(Image::take(&path).unwrap().fits(Some(&image.sha256)).unwrap_err().contains("is pinned"));
        assert!(Image::take(dir.path()).unwrap_err().contains("no file"));
    }
}
