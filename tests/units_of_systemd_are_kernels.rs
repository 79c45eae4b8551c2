//! Units of a real systemd are kernels: adopted, watched, restarted, and left running.
//!
//! The systemd of this machine is booted a second time in a container with a root of its own, of which only /usr is the
//! machine's, and is spoken to through its own bus; the machine's systemd, if there is one, is never touched.
#![cfg(feature = "systemd")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/kernels.rs"]
mod support;

use std::time::{Duration, Instant};

use paramedic::kernels::State;
use support::{Program, World, can_run, remove_groups};

struct Systemd {
    dir: tempfile::TempDir,
    name: String,
    container: Option<Program>,
}

const BOOT: &str = r#"
    mkdir -p $1/root $1/shared
    cd $1/root
    mkdir -p usr etc/systemd/system/dbus.socket.d proc sys dev run tmp var root shared
    for dir in bin sbin lib lib64; do ln -s usr/$dir $dir; done
    cp /etc/passwd /etc/group etc/
    : > etc/machine-id
    printf 'ID=test\nNAME=test\n' > etc/os-release
    printf '[Socket]\nListenStream=/shared/bus\n' > etc/systemd/system/dbus.socket.d/shared.conf
    cp $1/units/* etc/systemd/system/
    mount --bind /usr usr
    umount -R /sys/fs/cgroup 2>/dev/null || true
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir /sys/fs/cgroup/$2
    echo $$ > /sys/fs/cgroup/$2/cgroup.procs
    exec systemd-nspawn --boot --quiet --register=no --keep-unit --private-network --link-journal=no \
        --console=pipe --machine=$2 --directory=$1/root --bind=$1/shared:/shared"#;

impl Systemd {
    /// Boots one with these units, each a name and the lines below `[Service]`.
    async fn boot(units: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("units")).unwrap();
        for (name, lines) in units {
            let path = dir.path().join("units").join(name);
            std::fs::write(path, format!("[Service]\n{}\n", lines.replace(" | ", "\n"))).unwrap();
        }
        let name = format!("paramedic-test-{}", std::process::id());
        let log = dir.path().join("log");
        let container = Program::in_own_mounts(BOOT, &[dir.path().to_str().unwrap(), &name], &log);
        let mut systemd = Self { dir, name, container: Some(container) };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(systemd.dir.path().join("shared/bus")).is_err() {
            let dead = systemd.container.as_mut().unwrap().is_dead();
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(!dead && Instant::now() < deadline, "systemd does not boot:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        systemd
    }

    fn bus(&self) -> String {
        format!("unix:path={}", self.dir.path().join("shared/bus").display())
    }

    /// What a person would do by hand, from outside.
    fn systemctl(&self, method: &str, arguments: &[&str]) {
        let status = std::process::Command::new("busctl")
            .arg(format!("--address={}", self.bus()))
            .args(["call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"])
            .args(["org.freedesktop.systemd1.Manager", method])
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{method} {arguments:?}");
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        drop(self.container.take());
        remove_groups(&self.name);
        remove_groups(&format!("unified/{}", self.name));
        drop(std::fs::remove_dir(format!("/run/systemd/nspawn/propagate/{}", self.name)));
    }
}

#[tokio::test]
async fn a_unit_is_adopted_told_of_restarted_once_and_left_running() {
    if !can_run(&["systemd-nspawn", "busctl", "unshare", "setpriv"], "systemd, systemd-container and dbus") {
        return;
    }
    let systemd = Systemd::boot(&[
        ("web.service", "ExecStart=/bin/sh -c 'echo up; exec sleep 1000' | TimeoutStopSec=2"),
        ("slow.service", "Type=notify | NotifyAccess=all | ExecStart=/bin/sh -c 'sleep 1; systemd-notify --ready; exec sleep 1000'"),
        ("dies.service", "Type=notify | ExecStart=/bin/sh -c 'exit 3'"),
        ("again.service", "ExecStart=/bin/sleep 1000 | Restart=always | RestartSec=1"),
    ])
    .await;
    systemd.systemctl("StartUnit", &["ss", "web.service", "replace"]);
    let dir = tempfile::tempdir().unwrap();
    let kernel = |name: &str, more: &str| {
        format!(
            "{{name: {name}, provider: systemd, start_timeout: 10s, systemd: {{bus: '{}'{more}}}}}",
            systemd.bus()
        )
    };
    let yaml = [
        kernel("shop", ", unit: web.service"),
        kernel("slow", ""),
        kernel("dies", ""),
        kernel("again", ""),
        kernel("lost", ""),
        "{name: away, provider: systemd, systemd: {bus: 'unix:path=/no/such/bus'}}".into(),
    ];
    let yaml = format!("[{}]", yaml.join(", "));
    let world = World::new(&yaml, dir.path());
    let (heard, registry) = (&world.heard, &world.registry);
    registry.boot().await;

    // It is taken as it is, and what does not run stays so.
    heard.wait("shop", "healthy", "adopted").await;
    assert_eq!((world.view("shop").state, world.view("slow").state), (State::Healthy, State::Stopped));
    assert!(
        world.view("shop").pids.is_empty(),
        "process numbers of a container are not those of this machine"
    );

    // It crashes, and is restarted when asked.
    systemd.systemctl("KillUnit", &["ssi", "web.service", "main", "9"]);
    let data = heard.wait("shop", "exited", "crash").await;
    assert_eq!((&data["expected"], &data["message"]), (&false.into(), &"was ended by signal 9".into()));
    let view = registry.restart("shop", None, "r1").await.unwrap();
    assert_eq!((view.state, view.restarts), (State::Healthy, 1));
    heard.wait("shop", "healthy", "booted").await;

    // The engine dies before the step's end is on disk; its next life comes with the same key, and does no more.
    let next = World::new(&yaml, dir.path());
    next.registry.restart("shop", None, "r1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(heard.told().iter().all(|told| !told.starts_with("shop ")), "{:?}", heard.told());
    next.registry.restart("shop", None, "r2").await.unwrap();
    heard.wait("shop", "booting", "restarted_outside").await;
    next.registry.shutdown().await;

    // A person stops it: no failure.
    systemd.systemctl("StopUnit", &["ss", "web.service", "replace"]);
    assert_eq!(heard.wait("shop", "exited", "exit").await["expected"], true);
    assert_eq!(registry.start("shop", "").await.unwrap().state, State::Healthy);

    // A boot takes as long as the unit says, fails as it says, and is followed where systemd itself starts it anew.
    let view = registry.restart("slow", None, "").await.unwrap();
    assert!(view.boot_ms.is_some_and(|ms| ms >= 900.0), "{view:?}");
    let failure = registry.start("dies", "").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("failed", true));
    assert!(failure.message.contains("ended with exit code 3"), "{failure}");
    heard.wait("dies", "exited", "boot_exit").await;
    registry.start("again", "").await.unwrap();
    heard.wait("again", "healthy", "booted").await;
    systemd.systemctl("KillUnit", &["ssi", "again.service", "main", "9"]);
    heard.wait("again", "healthy", "booted").await;

    // What cannot be done says why, and whether it is worth another try.
    let lost = registry.restart("lost", None, "").await.unwrap_err();
    assert_eq!((lost.kind.as_str(), lost.retryable), ("invalid", false));
    assert!(lost.message.contains("systemd knows no unit `lost.service`"), "{lost}");
    let away = registry.restart("away", None, "").await.unwrap_err();
    assert_eq!((away.kind.as_str(), away.retryable), ("failed", true));
    assert!(away.message.contains("cannot reach the bus"), "{away}");
    let refused = registry.logs("shop", 5).await.unwrap_err();
    assert_eq!(refused.kind, "refused", "{refused}");

    registry.shutdown().await;
    let next = World::new(&yaml, dir.path());
    next.registry.boot().await;
    assert_eq!(next.view("shop").state, State::Healthy, "the end of the engine is not its end");
    next.registry.shutdown().await;
}
