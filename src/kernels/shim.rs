//! `paramedic __exec`: the moment between the engine's fork and a kernel's own program.
//!
//! It binds the process to the engine's life, waits until the guardian knows of it, then becomes the program. So
//! there is no moment at which the engine could die and leave a child behind. It runs before any runtime exists.
//! A program that speaks with the engine keeps the channel on which the byte came as its standard input.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::platform::descriptors;

/// The hidden sub-command that leads here.
pub const COMMAND: &str = "__exec";

/// The byte that means: the guardian knows, go on.
pub(super) const GO: u8 = b'g';

/// Stands in place of `--` where the program keeps its standard input.
pub(super) const KEEP: &str = "--keep-stdin";

/// Carries out `__exec <parent>[:<descriptors>] -- program arguments…`; `args` are those after `__exec`.
/// Comes back only when the program could not be run, with the exit code to end with, as a shell would give it.
pub fn exec(args: impl IntoIterator<Item = OsString>) -> i32 {
    let mut args = args.into_iter();
    let first = args.next();
    let mut first = first.as_deref().and_then(|text| text.to_str()).unwrap_or_default().splitn(2, ':');
    let parent = first.next().and_then(|pid| pid.parse::<i32>().ok());
    // What the engine had before it raised its own limit of descriptors.
    let descriptors = first.next().and_then(|soft| soft.parse::<u64>().ok());
    let (Some(parent), Some(dashes), Some(program)) = (parent, args.next(), args.next()) else {
        return fail(2, "usage: __exec PARENT -- PROGRAM [ARGUMENT…]");
    };
    let keep = dashes == KEEP;
    if dashes != "--" && !keep {
        return fail(2, "usage: __exec PARENT -- PROGRAM [ARGUMENT…]");
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return fail(125, &format!("cannot bind to the engine's life: {error}"));
    }
    // Whoever adopted us by now is not the engine: it died before the line above.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        return 125;
    }
    let mut byte = [0];
    // Not buffered: what follows the byte is for the program.
    match rustix::io::read(io::stdin(), &mut byte) {
        Ok(1) if byte[0] == GO => {}
        _ => return 125,
    }
    descriptors.into_iter().for_each(descriptors::restore);
    let mut command = Command::new(&program);
    if !keep {
        command.stdin(Stdio::null());
    }
    let error = command.args(args).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    fail(code, &format!("cannot run {}: {error}", program.to_string_lossy()))
}

fn fail(code: i32, text: &str) -> i32 {
    // Goes into the kernel's log; nowhere else to complain if that fails.
    writeln!(io::stderr(), "paramedic: {text}").ok();
    code
}
