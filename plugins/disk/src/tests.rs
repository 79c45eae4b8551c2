//! On real files in a throw-away folder.

use std::fs;
use std::os::unix::fs::symlink;

use paramedic_plugin::testing::Harness;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const DAY: u64 = 86_400;

/// A folder to clean, one that is not to be touched, and the plugin.
struct World {
    dir: TempDir,
    disk: Harness,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("logs/deep")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        let config = json!({ "roots": [dir.path().join("logs")] });
        let disk = Harness::start_with(plugin(), config).unwrap();
        Self { dir, disk }
    }

    fn file(&self, name: &str, bytes: usize, days: u64) {
        let path = self.dir.path().join(name);
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(now() - Duration::from_secs(days * DAY)).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.dir.path().join(name)).is_ok()
    }

    fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    fn clean(&self, mut policy: Value) -> Result<Value, Failure> {
        policy["path"] = json!(self.logs());
        self.disk.call("disk.clean", policy)
    }
}

#[test]
fn what_a_policy_names_goes_and_the_rest_stays_and_again_is_as_good_as_once() {
    let world = World::new();
    world.file("logs/old.log", 10, 9);
    world.file("logs/deep/old.log", 20, 8);
    world.file("logs/new.log", 30, 1);
    world.file("logs/old.db", 40, 9);
    let policy = json!({ "older_than": "7d", "patterns": ["*.log"] });
    let mut asked = policy.clone();
    asked["path"] = json!(world.logs());
    let told = world.disk.dry_run("disk.clean", asked).unwrap();
    assert_eq!((&told["removed"], &told["bytes"]), (&json!(2), &json!(30)), "{told:#}");
    assert_eq!(told["files"][0]["path"], json!(world.logs().join("old.log")), "the oldest first");
    assert!(world.has("logs/old.log") && world.has("logs/deep/old.log"), "a dry run removes nothing");
    let cleaned = world.clean(policy.clone()).unwrap();
    assert_eq!(cleaned["files"], told["files"], "a dry run says what is then done");
    assert!(!world.has("logs/old.log") && !world.has("logs/deep/old.log"));
    assert!(world.has("logs/new.log") && world.has("logs/old.db") && world.has("logs/deep"));
    assert_eq!(world.clean(policy).unwrap()["removed"], 0);
}

#[test]
fn sizes_newest_and_the_most_at_once_are_respected() {
    let world = World::new();
    for n in 1..=5 {
        world.file(&format!("logs/{n}.log"), 1_000 * n, n as u64);
    }
    let large = world.clean(json!({ "larger_than": "4kB" })).unwrap();
    assert_eq!(large["removed"], 2, "{large:#}");
    let kept = world.clean(json!({ "patterns": ["*.log"], "keep": 2 })).unwrap();
    assert_eq!(kept["removed"], 1, "{kept:#}");
    assert!(world.has("logs/1.log") && world.has("logs/2.log") && !world.has("logs/3.log"));
    let one = world.clean(json!({ "patterns": ["*.log"], "most": 1 })).unwrap();
    assert_eq!((&one["removed"], &one["complete"]), (&json!(1), &json!(false)), "{one:#}");
    let enough = world.clean(json!({ "patterns": ["*.log"], "until_free": 0 })).unwrap();
    assert_eq!(enough["removed"], 0, "enough is free already: {enough:#}");
}

#[test]
fn no_link_leads_out_and_no_path_does() {
    let world = World::new();
    world.file("outside/precious.log", 10, 99);
    let outside = world.dir.path().join("outside");
    symlink(&outside, world.dir.path().join("logs/folder")).unwrap();
    symlink(outside.join("precious.log"), world.dir.path().join("logs/link.log")).unwrap();
    let cleaned = world.clean(json!({ "patterns": ["*.log"] })).unwrap();
    assert_eq!(cleaned["removed"], 0, "{cleaned:#}");
    assert!(world.has("outside/precious.log") && world.has("logs/link.log"));
    for (path, kind) in [
        (outside.clone(), "refused"),
        (world.logs().join("../outside"), "invalid"),
        (world.logs().join("folder"), "failed"),
        (PathBuf::from("logs"), "invalid"),
        (PathBuf::from("/"), "refused"),
        (world.dir.path().join("logs-of-another"), "refused"),
    ] {
        for action in ["disk.clean", "disk.largest", "disk.usage"] {
            let mut params = json!({ "path": path });
            if action == "disk.clean" {
                params["older_than"] = json!("1s");
            }
            let failure = world.disk.call(action, params).unwrap_err();
            assert_eq!(failure.kind, kind, "{action} {}: {failure}", path.display());
        }
    }
    assert!(world.has("outside/precious.log"));
}

#[test]
fn a_policy_that_would_take_everything_is_refused() {
    let world = World::new();
    world.file("logs/a.log", 10, 9);
    for policy in [
        json!({}),
        json!({ "patterns": ["*"] }),
        json!({ "patterns": ["*.log", "**"] }),
        json!({ "patterns": [] }),
        json!({ "older_than": 0 }),
        json!({ "larger_than": "0" }),
        json!({ "patterns": ["../*.log"] }),
        json!({ "keep": 1 }),
        json!({ "until_free": 20 }),
        json!({ "older_than": "soon" }),
        json!({ "larger_than": "big" }),
    ] {
        let failure = world.clean(policy.clone()).unwrap_err();
        assert!(["refused", "invalid"].contains(&failure.kind.as_str()), "{policy}: {failure}");
    }
    assert!(world.has("logs/a.log"));
}

#[test]
fn the_largest_are_listed_and_usage_adds_up() {
    let world = World::new();
    world.file("logs/small", 10, 1);
    world.file("logs/deep/large", 5_000, 2);
    let found = world.disk.call("disk.largest", json!({ "path": world.logs(), "top": 1 })).unwrap();
    assert_eq!((&found["count"], &found["bytes"]), (&json!(2), &json!(5_010)));
    let first = &found["files"][0];
    assert_eq!((&first["bytes"], first["age_s"].as_u64().unwrap() / DAY), (&json!(5_000), 2), "{found:#}");
    let usage = world.disk.call("disk.usage", json!({ "path": world.logs() })).unwrap();
    let number = |name: &str| usage[name].as_u64().unwrap();
    assert!(number("used") + number("free") <= number("total") && number("total") > 0, "{usage:#}");
    assert!((0.0..=100.0).contains(&usage["percent"].as_f64().unwrap()), "{usage:#}");
}

#[test]
fn roots_that_would_allow_everything_are_refused() {
    for roots in [json!([]), json!(["/"]), json!(["relative"]), json!(["/does/not/exist"])] {
        assert!(Harness::start_with(plugin(), json!({ "roots": roots })).is_err(), "{roots}");
    }
    assert!(
        Harness::start_with(plugin(), Value::Null).is_err(),
        "without a configuration nothing is allowed"
    );
}
