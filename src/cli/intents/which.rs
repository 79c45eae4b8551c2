//! Which intent is meant: its whole id, or so much of its beginning that no other begins like it.

use crate::cli::client::{Remote, items, text};

/// Letters of an id.
const WHOLE: usize = 26;

/// So few letters say nothing: they are the time, and the same for years.
const LEAST: usize = 4;

/// Candidates that are listed.
const LISTED: usize = 10;

/// The whole id of the one intent whose id begins with `given`, in large or small letters.
///
/// # Errors
/// When there is none, or there are several: then they are listed.
pub fn id(remote: &Remote, given: &str) -> Result<String, String> {
    let given = given.trim().to_ascii_uppercase();
    if given.len() >= WHOLE || !given.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return Ok(given);
    }
    if given.len() < LEAST {
        return Err(format!("`{given}` is too short: write at least {LEAST} characters of the intent's id"));
    }
    // The list goes from the latest back, and a cursor is the id that it goes on behind.
    let last = format!("{given:Z<WHOLE$}");
    let page = remote.get(&format!("/api/intents?limit={}&cursor={last}", LISTED + 1))?;
    let fits = |intent: &&serde_json::Value| text(&intent["id"]).starts_with(&given);
    let found: Vec<_> = items(&page).iter().filter(fits).collect();
    match found.as_slice() {
        [] => Err(format!("no intent's id begins with `{given}`: `paramedic intents` lists them")),
        [intent] => Ok(text(&intent["id"])),
        several => {
            let line = |it: &&serde_json::Value| {
                format!("\n  {}  {}: {}", text(&it["id"]), text(&it["status"]), text(&it["goal"]))
            };
            let lines: String = several.iter().take(LISTED).map(line).collect();
            let more = if several.len() > LISTED { "\n  …" } else { "" };
            Err(format!("the ids of several intents begin with `{given}`: write more of it{lines}{more}"))
        }
    }
}
