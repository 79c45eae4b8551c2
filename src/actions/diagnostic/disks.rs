//! File systems: space and inodes. Those of the network are not asked, as one that is gone answers never.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Finding, bytes, round, used};

/// What is mounted.
pub(super) struct Disks {
    rows: Vec<Disk>,
    /// Of the network.
    left_out: Vec<String>,
}

struct Disk {
    place: String,
    kind: String,
    bytes: [u64; 2],
    inodes: [u64; 2],
}

/// Space and inodes in use, in per cent.
const FULL: [f64; 2] = [90.0, 97.0];

/// Smaller file systems are made for a purpose and often full.
const SMALL: u64 = 64 * 1024 * 1024;

/// More are not shown.
const MAX: usize = 50;

const VIRTUAL: [&str; 20] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "devtmpfs",
    "mqueue",
    "securityfs",
    "debugfs",
    "tracefs",
    "pstore",
    "bpf",
    "configfs",
    "fusectl",
    "hugetlbfs",
    "autofs",
    "binfmt_misc",
    "nsfs",
    "rpc_pipefs",
    "efivarfs",
];

const REMOTE: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "afs",
    "9p",
    "lustre",
    "fuse.sshfs",
    "fuse.glusterfs",
];

pub(super) fn read() -> Result<Disks, String> {
    let text = std::fs::read_to_string("/proc/self/mounts")
        .map_err(|error| format!("/proc/self/mounts cannot be read: {error}"))?;
    let (mut rows, mut left_out, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for mount in text.lines().filter_map(mount) {
        if REMOTE.contains(&mount.kind) {
            left_out.push(mount.place);
            continue;
        }
        if VIRTUAL.contains(&mount.kind) || mount.read_only {
            continue;
        }
        // It may be gone, or closed to us.
        let Ok(of) = rustix::fs::statvfs(mount.place.as_str()) else { continue };
        let total = of.f_blocks * of.f_frsize;
        // In containers one file system is mounted in many places.
        if total < SMALL || !seen.insert((of.f_fsid, total, mount.device.to_owned())) {
            continue;
        }
        // What only root may use counts as used, as `df` has it.
        let usable = total - of.f_bfree.saturating_sub(of.f_bavail) * of.f_frsize;
        rows.push(Disk {
            place: mount.place,
            kind: mount.kind.into(),
            bytes: [usable, of.f_bavail * of.f_frsize],
            inodes: [of.f_files, of.f_favail],
        });
    }
    left_out.truncate(MAX);
    Ok(Disks { rows, left_out })
}

struct Mount<'a> {
    device: &'a str,
    place: String,
    kind: &'a str,
    read_only: bool,
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let mut words = line.split(' ');
    let (device, place, kind, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
    // How the kernel writes what would break the line.
    let place =
        place.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
    Some(Mount { device, place, kind, read_only: options.split(',').any(|it| it == "ro") })
}

pub(super) fn space(disks: &Disks) -> Vec<Finding> {
    let advice = "remove or move what is not needed there; the playbook `clean_disk` does so by a policy";
    let words = |disk: &Disk, share: f64| {
        format!("{} is {share:.0} % full, {} are left", disk.place, bytes(disk.bytes[1]))
    };
    judged(disks, "disk", |disk| disk.bytes, words, advice)
}

pub(super) fn inodes(disks: &Disks) -> Vec<Finding> {
    let advice = "there are too many small files: find the folder with most of them, and remove what is old";
    let words = |disk: &Disk, share: f64| {
        format!("{} has used {share:.0} % of its inodes, {} are left", disk.place, disk.inodes[1])
    };
    judged(disks, "inodes", |disk| disk.inodes, words, advice)
}

/// One finding for each that is nearly full, and one that lists all.
fn judged(
    disks: &Disks,
    check: &'static str,
    of: impl Fn(&Disk) -> [u64; 2],
    words: impl Fn(&Disk, f64) -> String,
    advice: &str,
) -> Vec<Finding> {
    let mut rows: Vec<(&Disk, f64)> = disks
        .rows
        .iter()
        .filter(|disk| of(disk)[0] > 0)
        .map(|disk| (disk, used(of(disk)[0], of(disk)[1])))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let row = |(disk, share): &(&Disk, f64)| {
        let [total, available] = of(disk);
        json!({
            "mount": disk.place, "type": disk.kind, "total": total, "available": available,
            "used_percent": round(*share),
        })
    };
    let full = rows.iter().filter(|(_, share)| *share >= FULL[0]).take(MAX);
    let mut found: Vec<Finding> =
        full.map(|at| Finding::info(check, words(at.0, at.1), row(at)).judged(at.1, FULL, advice)).collect();
    let shown: Vec<Value> = rows.iter().take(MAX).map(row).collect();
    let summary = match rows.first() {
        None => "there is no file system to look at".into(),
        Some((disk, share)) => format!("fullest of {} is {} with {share:.0} %", rows.len(), disk.place),
    };
    found.push(Finding::info(check, summary, json!({ "all": shown, "not_looked_at": disks.left_out })));
    found
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn what_is_nearly_full_is_found_with_the_right_severity() {
        let disk = |place: &str, available| Disk {
            place: place.into(),
            kind: "ext4".into(),
            bytes: [100, available],
            inodes: [0, 0],
        };
        let disks = Disks {
            rows: vec![disk("/", 50), disk("/var", 8), disk("/tmp", 1)],
            left_out: vec!["/net".into()],
        };
        let found = space(&disks);
        let told: Vec<(Severity, &str)> = found.iter().map(|it| (it.severity, it.summary.as_str())).collect();
        assert_eq!(
            told,
            [
                (Severity::Critical, "/tmp is 99 % full, 1 B are left"),
                (Severity::Warning, "/var is 92 % full, 8 B are left"),
                (Severity::Info, "fullest of 3 is /tmp with 99 %"),
            ]
        );
        assert!(found[0].advice.contains("clean_disk"));
        assert_eq!(found[2].data["not_looked_at"], json!(["/net"]));
        assert_eq!(inodes(&disks)[0].summary, "there is no file system to look at");
    }

    #[test]
    fn the_file_systems_of_this_machine_are_seen() {
        let disks = read().unwrap();
        assert!(!disks.rows.is_empty());
        let line = mount("/dev/sda1 /mnt/my\\040disk ext4 ro,relatime 0 0").unwrap();
        assert!(line.place == "/mnt/my disk" && line.read_only);
    }
}
