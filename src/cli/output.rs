//! How commands print: JSON or text, colours only in a terminal, errors on standard error.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Style};
use serde::Serialize;

use crate::platform::log;

/// The thing asked for failed; `message` says why. Exit status 1.
pub fn failed(message: &str) -> ExitCode {
    let error = paint("error:", Style::new().red().bold(), std::io::stderr().is_terminal());
    progress(format_args!("{error} {message}"));
    ExitCode::from(1)
}

/// Wrong use; `message` says what would be right. Exit status 2.
pub fn misused(message: &str) -> ExitCode {
    failed(message);
    ExitCode::from(2)
}

/// Prints a line. Ends the process where nobody reads any more, as after `| head`.
pub fn line(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
        if error.kind() != ErrorKind::BrokenPipe {
            progress(format_args!("failed to print: {error}"));
        }
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// Prints a line about what is going on, which is not the result, on standard error.
pub fn progress(text: impl Display) {
    // Where a log is served, standard error may be blocked, full or gone, and nobody may wait for it.
    log::raw(&text.to_string());
}

/// Prints `value` as JSON.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => progress(format_args!("failed to write JSON: {error}")),
    }
}

/// A table with these headings; print it with [`line()`].
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|h| h.to_uppercase()));
    table
}

/// Whether standard output shows colours.
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// `text` in green, where there are colours.
pub fn good(text: impl Display) -> String {
    paint(text, Style::new().green(), colours())
}

/// `text` in yellow, where there are colours.
pub fn warn(text: impl Display) -> String {
    paint(text, Style::new().yellow(), colours())
}

/// `text` in red, where there are colours.
pub fn bad(text: impl Display) -> String {
    paint(text, Style::new().red(), colours())
}

/// `text` in bold, where there are colours.
pub fn bold(text: impl Display) -> String {
    paint(text, Style::new().bold(), colours())
}

/// `text` dimmed, where there are colours.
pub fn dim(text: impl Display) -> String {
    paint(text, Style::new().dimmed(), colours())
}

fn paint(text: impl Display, style: Style, on: bool) -> String {
    if on { text.style(style).to_string() } else { text.to_string() }
}
