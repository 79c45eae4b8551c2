//! The binary: reads the command line and hands over to the library.

use std::process::ExitCode;

use paramedic::{cli, kernels, plugins, stress};

/// Quicker than the system's where many threads work, and it gives back what is not used any more: a storm leaves
/// nothing behind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has memory that is free given back to the system soon: where nothing happens after a storm, nobody would ask again.
#[expect(unsafe_code, reason = "the allocator has no other way to be told; the call sets one number")]
fn give_back_memory_soon() {
    // `mi_option_purge_delay`, which the binding does not name, in milliseconds; its default tells that it is still that.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: an option of the allocator is read and set while there is one thread.
    unsafe {
        if libmimalloc_sys::mi_option_get(PURGE_DELAY) == 1_000 {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, 10);
        }
    }
}

fn main() -> ExitCode {
    give_back_memory_soon();
    // The parts that the program plays for its own children come first: they are started often, and must be quick.
    let mut args = std::env::args_os().skip(1);
    let code = match args.next().as_deref().and_then(|name| name.to_str()) {
        Some(kernels::shim::COMMAND) => kernels::shim::exec(args),
        Some(kernels::guardian::COMMAND) => {
            kernels::guardian::run(args.next().as_deref().and_then(|mark| mark.to_str()));
            0
        }
        Some(plugins::host::COMMAND) => plugins::host::run(),
        Some(stress::patient::COMMAND) => stress::patient::run(args),
        _ => {
            // Only in builds with failpoints: lets a test say where the engine is to die.
            let _scenario = fail::has_failpoints().then(fail::FailScenario::setup);
            return cli::main();
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
