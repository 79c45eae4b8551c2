//! Write plugins for Paramedic: ordinary functions over serde types become actions that playbooks can call.
//!
//! ```
//! use paramedic_plugin::{Action, Failure, Plugin, export, schema::*};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Greeting {
//!     text: String,
//! }
//!
//! fn greet(params: Greet) -> Result<Greeting, Failure> {
//!     Ok(Greeting { text: format!("Hello, {}!", params.name) })
//! }
//!
//! fn plugin() -> Plugin {
//!     Plugin::new("hello", env!("CARGO_PKG_VERSION")).action(
//!         Action::new("hello.greet", "Greets somebody.", greet)
//!             .takes([required("name", string("Whom to greet."))])
//!             .gives([required("text", string("The greeting."))])
//!             .idempotent(),
//!     )
//! }
//!
//! export!(plugin);
//!
//! // In a test:
//! let hello = paramedic_plugin::testing::Harness::start(plugin());
//! assert_eq!(hello.call("hello.greet", serde_json::json!({ "name": "Ada" })).unwrap()["text"], "Hello, Ada!");
//! ```
//!
//! Build it as a `cdylib`, name the file in `plugins:` of `paramedic.yaml`, and playbooks can `act("hello.greet", …)`.
//! Start with [`Plugin`] and [`Action`]; test with [`testing::Harness`]. Below lies a C ABI, [`abi`], which other
//! languages use directly.

pub mod abi;
mod action;
mod failure;
#[doc(hidden)]
pub mod glue;
pub mod message;
mod plugin;
pub mod schema;
mod span;
pub mod testing;

pub use action::{Action, Handler};
pub use failure::Failure;
pub use glue::log;
pub use message::{Context, Level, Risk};
pub use plugin::Plugin;
pub use span::Span;

/// Makes a plugin of the library: takes the name of a function that gives a [`Plugin`]. Once in a library.
#[macro_export]
macro_rules! export {
    ($plugin:path) => {
        const _: () = {
            /// What the host looks for in the library.
            #[unsafe(no_mangle)]
            pub extern "C" fn paramedic_plugin_entry() -> *const $crate::abi::ParamedicPlugin {
                $crate::glue::entry(|| $plugin())
            }
        };
    };
}
