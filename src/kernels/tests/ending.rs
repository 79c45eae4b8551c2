//! How kernels end, with real processes: those that will not, those that cannot, and those that leave others behind.

use tokio::time::Instant;

use super::*;
use crate::kernels::proc::{self, Stat};

/// Waits until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The number that a process wrote into this file.
async fn number(set: &Set, file: &str) -> u32 {
    let path = set.dir.path().join(file);
    let read = || std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    until(file, || read().is_some()).await;
    read().unwrap()
}

fn lives(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.has_ended())
}

#[tokio::test]
async fn a_kernel_that_ignores_the_request_is_ended_with_its_children_after_the_grace() {
    let set = set(
        "[{name: k, stop_grace: 200ms, command: [sh, -c, 'trap \"\" TERM; sleep 60 & echo $! > DIR/child; wait; sleep 60']}]",
    );
    set.registry.boot().await;
    let child = number(&set, "child").await;
    let begun = Instant::now();
    let view = set.registry.stop("k", None, "").await.unwrap();
    assert_eq!((view.state, view.pids.len()), (State::Stopped, 0));
    assert!(begun.elapsed() >= Duration::from_millis(200) && !lives(child));
    let exited = set.heard.wait("exited", 1).await;
    assert_eq!((&exited["signal"], &exited["expected"]), (&9.into(), &true.into()));
}

#[tokio::test]
async fn a_frozen_kernel_can_still_end_gracefully() {
    let set = set(
        "[{name: k, command: [sh, -c, 'trap \"exit 7\" TERM; kill -STOP $$; while :; do sleep 0.01; done']}]",
    );
    set.registry.boot().await;
    set.registry.stop("k", None, "").await.unwrap();
    assert_eq!(set.heard.wait("exited", 1).await["exit_code"], 7);
}

#[tokio::test]
async fn one_that_cannot_end_is_never_doubled_and_can_be_restarted_once_it_has() {
    // No signal reaches it while the file is there, as one that waits for a disk that does not answer.
    let set = set(
        "[{name: k, stop_grace: 0ms, restarts: {max: 100, within: 10m}, env: {PARAMEDIC_TEST_DEAF: DIR/deaf},
           command: [sh, -c, 'echo $$ >> DIR/started; exec sleep 60']}]",
    );
    let problems = Problems::default();
    set.registry.report_to(problems.clone());
    set.registry.boot().await;
    let deaf = set.dir.path().join("deaf");
    std::fs::write(&deaf, "").unwrap();
    let pid = set.registry.get("k").unwrap().pids[0];
    let stop = tokio::spawn({
        let registry = set.registry.clone();
        async move { registry.stop("k", None, "").await }
    });
    let state = || set.registry.get("k").unwrap().state;
    until("it is shown as stopping", || state() == State::Stopping).await;
    let failure = stop.await.unwrap().unwrap_err();
    assert!(
        failure.retryable && failure.message.contains(&format!("process {pid} (`sleep 60`)")),
        "{failure}"
    );
    let view = set.registry.get("k").unwrap();
    assert_eq!((view.state, view.pids), (State::Stopping, vec![pid]), "it is still there, and still shown");
    assert!(problems.texts()[0].contains("has not ended"), "{:?}", problems.texts());
    assert!(!set.registry.health("k").await.unwrap().healthy);
    assert!(!set.heard.of("exited").iter().any(|_| true), "it has not ended");
    // Nobody starts a second one beside it.
    let (start, restart) = tokio::join!(set.registry.start("k", ""), set.registry.restart("k", None, ""));
    assert!(start.unwrap_err().message.contains("is not started"));
    assert!(restart.unwrap_err().message.contains(&format!("process {pid}")));
    let started = || std::fs::read_to_string(set.dir.path().join("started")).unwrap().lines().count();
    assert_eq!(started(), 1);
    // What comes while it hangs waits for its end.
    let start = tokio::spawn({
        let registry = set.registry.clone();
        async move { registry.start("k", "").await }
    });
    sleep(Duration::from_millis(100)).await;
    std::fs::remove_file(&deaf).unwrap();
    let view = start.await.unwrap().unwrap();
    assert_eq!((view.state, view.pids.len(), started()), (State::Healthy, 1, 2));
    assert!(!lives(pid) && view.pids[0] != pid && problems.is_empty());
    set.registry.shutdown().await;
}

#[tokio::test]
async fn one_that_is_not_wished_any_more_keeps_its_place_until_it_has_ended() {
    let set = set("[{name: k, stop_grace: 0ms, port: auto, env: {PARAMEDIC_TEST_DEAF: DIR/deaf}, replicas: {min: 1, max: 2},
           command: [sleep, '60']}]");
    set.registry.boot().await;
    let view = set.registry.scale("k", 2, "").await.unwrap();
    let (pid, port) = (view.pids[1], view.replicas[1].port);
    std::fs::write(set.dir.path().join("deaf"), "").unwrap();
    set.registry.scale("k", 1, "").await.unwrap_err();
    let view = set.registry.get("k").unwrap();
    assert_eq!(
        (view.state, view.desired, view.pids.get(1)),
        (State::Healthy, 1, Some(&pid)),
        "it is still shown"
    );
    std::fs::remove_file(set.dir.path().join("deaf")).unwrap();
    until("it is gone", || set.registry.get("k").unwrap().replicas.len() == 1).await;
    let view = set.registry.scale("k", 2, "").await.unwrap();
    assert!(view.pids[1] != pid && port.is_some());
    set.registry.shutdown().await;
}

#[tokio::test]
async fn a_shorter_grace_takes_effect_at_once_and_a_longer_one_never() {
    let set = set("[{name: k, command: [sh, -c, 'trap \"\" TERM; while :; do sleep 0.1; done']}]");
    set.registry.boot().await;
    let stop = |grace: u64, key: &'static str| {
        let registry = set.registry.clone();
        tokio::spawn(async move { registry.stop("k", Some(Span::secs(grace)), key).await })
    };
    let first = stop(600, "a");
    until("it stops", || set.registry.get("k").unwrap().state == State::Stopping).await;
    let begun = Instant::now();
    let longer = stop(900, "b");
    let shorter = stop(0, "c");
    for stopped in [first, longer, shorter] {
        assert_eq!(stopped.await.unwrap().unwrap().state, State::Stopped);
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_daemon_that_left_the_group_ends_with_its_kernel_however_that_ends() {
    // It is nobody's child by then, leads a session of its own, and takes its time to end.
    let daemon = "setsid sh -c 'echo $$ > DIR/daemon; trap \\\"echo asked >> DIR/asked; exit 0\\\" TERM; while :; do sleep 0.02; done' & ";
    let yaml = |rest: &str| format!("[{{name: k, command: [sh, -c, \"({daemon}) ; {rest}\"]}}]");
    let asked = |set: &Set| std::fs::read_to_string(set.dir.path().join("asked")).unwrap_or_default();

    let stopped = set(&yaml("sleep 60"));
    stopped.registry.boot().await;
    let pid = number(&stopped, "daemon").await;
    assert_ne!(Stat::of(pid).unwrap().group, stopped.registry.get("k").unwrap().pids[0]);
    sleep(Duration::from_millis(100)).await;
    let view = stopped.registry.stop("k", None, "").await.unwrap();
    assert_eq!((view.state, lives(pid)), (State::Stopped, false));
    assert_eq!(asked(&stopped), "asked\n", "it was asked before it was killed");

    let crashed = set(&yaml("sleep 0.5; exit 3"));
    crashed.registry.boot().await;
    let pid = number(&crashed, "daemon").await;
    crashed.heard.wait("exited", 1).await;
    until("it is gone", || !lives(pid)).await;
    until("that is shown", || crashed.registry.get("k").unwrap().state == State::Exited).await;

    // One that will not end keeps the kernel `stopping`, and is killed after the grace.
    let stubborn = set(
        "[{name: k, stop_grace: 300ms, command: [sh, -c, \"(setsid sh -c 'trap : TERM; echo $$ > DIR/daemon; while :; do sleep 0.02; done' &) ; sleep 60\"]}]",
    );
    stubborn.registry.boot().await;
    let pid = number(&stubborn, "daemon").await;
    sleep(Duration::from_millis(50)).await;
    stubborn.registry.restart("k", None, "").await.unwrap();
    assert!(!lives(pid));
    stubborn.registry.shutdown().await;
}

#[tokio::test]
async fn orphans_are_reaped_when_they_end() {
    let set = set(
        "[{name: k, command: [sh, -c, '(setsid sh -c \"echo \\$\\$ > DIR/daemon; sleep 0.1\" &) ; sleep 60']}]",
    );
    set.registry.boot().await;
    let pid = number(&set, "daemon").await;
    until("nothing of it is left", || Stat::of(pid).is_none()).await;
    assert!(proc::variable(set.registry.get("k").unwrap().pids[0], "PARAMEDIC_INSTANCE").is_some());
    set.registry.shutdown().await;
}
