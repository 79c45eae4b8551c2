//! The edges of an intent's way, at each of which a test can make the engine die, panic or lose its disk.
//!
//! Nothing of it is in a release: there [`pass`] is empty. In a test build the environment says what happens where, as
//! `FAILPOINTS='started=2*off->1*return(io)->off'`: the third time that an action's start is durable, the next commit
//! fails. What can be returned: `abort` (the process ends there), `panic`, `io` and `full` (the next commit to the store
//! fails as with a broken or a full disk); without a word, `abort`.

/// Every edge, in the order in which an intent passes them.
pub const EDGES: [&str; 10] = [
    "received", "matched", "intent", "decided", "approved", "started", "effect", "finished", "verified",
    "learned",
];

/// Passes the edge `name`.
pub fn pass(name: &'static str) {
    debug_assert!(EDGES.contains(&name), "no edge is called {name}");
    fail::fail_point!(name, |what| strike(name, what.as_deref()));
}

/// Meets the event with this id, which a rule is about to be asked about: the failpoint `poison` says what happens to
/// one whose id begins with that word.
pub fn meet(id: &str) {
    fail::fail_point!("poison", id.starts_with("poison"), |what: Option<String>| strike(
        "poison",
        what.as_deref()
    ));
    // Without failpoints nobody asks for it.
    let _: &str = id;
}

#[allow(dead_code, reason = "called only in builds with failpoints")]
fn strike(name: &str, what: Option<&str>) {
    let next_commit = |how: &str| {
        tracing::warn!("the edge `{name}` breaks the next commit: {how}");
        fail::cfg("store::before_commit", &format!("1*return({how})->off"))
            .expect("the words of this failpoint are ones that it knows");
    };
    match what {
        Some("panic") => panic!("the edge `{name}` says so"),
        Some(how @ ("io" | "full")) => next_commit(how),
        _ => std::process::abort(),
    }
}
