//! Real processes, without shim and guardian.

use super::*;

fn sh(script: &str) -> Launch {
    let argv = ["sh", "-c", script].map(String::from).to_vec();
    Launch { argv, inherit_env: true, capture: true, ..Launch::default() }
}

async fn lines(running: &mut Running) -> String {
    use tokio::io::AsyncReadExt;
    let (mut out, _) = running.output().unwrap();
    let mut text = String::new();
    out.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_process_nobody_holds_any_more_is_ended() {
    let spawner = Spawner::new(Shim::none()).unwrap();
    let mut running = spawner.start(sh("echo up; sleep 60")).await.unwrap();
    let (mut out, _) = running.output().unwrap();
    drop(running);
    let mut text = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut out, &mut text);
    tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_process_gets_the_variables_it_was_given_and_no_others() {
    let spawner = Spawner::new(Shim::none()).unwrap();
    let mut launch = sh("echo $A-$HOME");
    launch.inherit_env = false;
    launch.env.insert("A".into(), "x".into());
    assert_eq!(lines(&mut spawner.start(launch).await.unwrap()).await, "x-\n");
}

#[tokio::test]
async fn no_process_gets_a_variable_that_is_hidden_unless_it_was_given_one_of_that_name() {
    // Each is one that the test itself has.
    let spawner = Spawner::new(Shim::none()).unwrap().hiding(["PATH".into(), "HOME".into()]);
    let mut launch = sh("echo \"${HOME-none}\"; env | grep -c ^PATH=/");
    launch.argv[0] = "/bin/sh".into();
    launch.env.insert("PATH".into(), "/bin:/usr/bin".into());
    assert_eq!(lines(&mut spawner.start(launch).await.unwrap()).await, "none\n1\n");
}
