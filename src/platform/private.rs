//! Files that only their owner may read: a data directory holds what events say, and what is asked and answered.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Bits of the group and of others.
const SHARED: u32 = 0o077;
/// What a directory such as `/tmp` has, which is meant to be shared.
const STICKY: u32 = 0o1000;

/// Makes `dir`, with those it lies in, if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Takes from `dir` and from the files in it what others may do with them; answers how many were changed. What belongs
/// to another user, or is meant to be shared, is left alone.
///
/// # Errors
/// When the directory cannot be read.
pub fn tighten(dir: &Path) -> io::Result<usize> {
    let own = rustix::process::geteuid().as_raw();
    let meta = fs::metadata(dir)?;
    if meta.uid() != own || meta.mode() & STICKY != 0 {
        return Ok(0);
    }
    let mut changed = usize::from(restrict(dir, &meta));
    for entry in fs::read_dir(dir)?.flatten() {
        // A link says nothing of what it leads to.
        if let Ok(meta) = entry.metadata()
            && meta.is_file()
            && meta.uid() == own
        {
            changed += usize::from(restrict(&entry.path(), &meta));
        }
    }
    Ok(changed)
}

/// Makes an empty file at `path` that only its owner may read, if none is there.
///
/// # Errors
/// When it cannot be made.
pub fn file(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

fn restrict(path: &Path, meta: &fs::Metadata) -> bool {
    let mode = meta.mode() & 0o7777;
    mode & SHARED != 0 && fs::set_permissions(path, Permissions::from_mode(mode & !SHARED)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_read_is_taken_from_them_once() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        make(&dir).unwrap();
        assert_eq!(tighten(&dir).unwrap(), 0, "it is made as it should be");
        fs::write(dir.join("a"), "").unwrap();
        fs::set_permissions(dir.join("a"), Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        file(&dir.join("b")).unwrap();
        assert_eq!(tighten(&dir).unwrap(), 2);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([mode(&dir), mode(&dir.join("a")), mode(&dir.join("b"))], [0o700, 0o600, 0o600]);
        assert_eq!(tighten(&dir).unwrap(), 0);
        fs::set_permissions(&dir, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(tighten(&dir).unwrap(), 0, "a shared directory stays shared");
    }
}
