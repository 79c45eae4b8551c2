//! A playbook as it is kept with the runs that began with it: its text, the texts it imports, the version of the host.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::program::File;
use crate::model::Failure;

/// Raise it when a host function changes its meaning or its entry in the journal: older runs then end with a clear
/// answer, where they would otherwise be replayed wrongly.
const HOST_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Pinned {
    host: u32,
    /// The playbook, by its path below the playbooks' folder. Where that folder lies does not count.
    main: String,
    files: BTreeMap<String, String>,
}

/// What is kept of the playbook at `main`, which imports `used`.
pub fn write(main: &str, used: &BTreeSet<String>, files: &BTreeMap<String, File>) -> String {
    let names = used.iter().map(String::as_str).chain([main]);
    let files = names.map(|name| (name.to_string(), files[name].text.clone())).collect();
    serde_json::to_string_pretty(&Pinned { host: HOST_VERSION, main: main.into(), files })
        .expect("texts in a map are always JSON")
}

/// The playbook's path and all files that were kept.
pub fn read(source: &str) -> Result<(String, BTreeMap<String, File>), Failure> {
    let damaged =
        |why: String| Failure::new("script", format!("the source kept with this run is damaged: {why}"));
    let pinned: Pinned = serde_json::from_str(source).map_err(|error| damaged(error.to_string()))?;
    if pinned.host != HOST_VERSION {
        let text = format!(
            "this run began with host functions of version {}, this is version {HOST_VERSION}: start it again",
            pinned.host
        );
        return Err(Failure::new("script", text));
    }
    if !pinned.files.contains_key(&pinned.main) {
        return Err(damaged(format!("`{}` is missing", pinned.main)));
    }
    let file = |(name, text): (String, String)| {
        let path = format!("{name}.rhai");
        (name, File { path, text })
    };
    Ok((pinned.main, pinned.files.into_iter().map(file).collect()))
}

/// SHA-256 in hex.
pub fn hash(source: &str) -> String {
    Sha256::digest(source).iter().map(|byte| format!("{byte:02x}")).collect()
}
